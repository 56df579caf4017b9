package stress

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"io"
	"sync"

	"forge.lthn.ai/core/go-store/api"
)

// Between a run and a store in another process go messages in gob, which
// carries any bytes (JSON does not), over the store's standard input and
// output. Answers come in any order.

// request is a call on its way to the store.
type request struct {
	ID        uint64
	Call      Call
	Measure   bool  // no call: what does the process take?
	Subscribe *Wish // no call: its answers are events, until the last one
	Cancel    bool  // no call: end the subscription with this ID
}

// repeatable reports whether it may be made again when its answer got lost.
func (r request) repeatable() bool { return r.Measure || !r.Call.Kind.Writes() }

// response is its answer. The first one, with the ID 0, says that the store is open.
type response struct {
	ID     uint64
	Answer Answer // without its Err
	Takes  Footprint
	Failed failure
	Event  *api.Event // of a subscription; nil in its last answer
}

// failure is an error on its way. Of those that a run tells apart the identity
// is kept, of the others the text.
type failure struct {
	Cause    int // 0: none, otherwise causes[Cause-1]
	Text     string
	Mismatch *api.RevisionMismatchError // instead of Cause
}

// causes is what a run tells apart. Both ends are the same program.
var causes = []error{errors.New("other"), api.NotFoundError, api.QuotaExceededError, api.UnknownOutcomeError, context.Canceled,
	api.SlowConsumerError, errTooPoor, errConflict, errFuture}

// remoteError is an error that came from the store's process.
type remoteError struct {
	text  string
	cause error
}

func (e remoteError) Error() string { return e.text }
func (e remoteError) Unwrap() error { return e.cause }

func pack(err error) failure {
	if err == nil {
		return failure{}
	}
	var mismatch *api.RevisionMismatchError
	if errors.As(err, &mismatch) {
		return failure{Mismatch: mismatch}
	}
	for i, cause := range causes {
		if errors.Is(err, cause) {
			return failure{Cause: i + 1, Text: err.Error()}
		}
	}
	return failure{Cause: 1, Text: err.Error()}
}

func (f failure) unpack() error {
	if f.Mismatch != nil {
		return f.Mismatch
	}
	if f.Cause == 0 {
		return nil
	}
	return remoteError{f.Text, causes[f.Cause-1]}
}

// sender writes messages, each at once.
type sender struct {
	mu struct {
		sync.Mutex
		out     *bufio.Writer
		encoder *gob.Encoder
	}
}

func newSender(to io.Writer) *sender {
	s := &sender{}
	s.mu.out = bufio.NewWriter(to)
	s.mu.encoder = gob.NewEncoder(s.mu.out)
	return s
}

func (s *sender) send(message any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mu.encoder.Encode(message); err != nil {
		return err
	}
	return s.mu.out.Flush()
}
