package stress

import (
	"bufio"
	"encoding/gob"
	"errors"
	"io"
	"sync"
	"time"
)

// Serve opens the store at path and carries out what comes in until there is
// no more: then whoever sent it has closed it, or has ended himself, however
// he did. It is what a process does that Spawn starts.
func Serve(path string, in io.Reader, out io.Writer) error {
	target, err := Open(path)
	if err != nil {
		return err
	}
	return serve(target, in, out)
}

func serve(target Target, in io.Reader, out io.Writer) error {
	answers := newSender(out)
	if err := answers.send(response{}); err != nil {
		return errors.Join(err, target.Close())
	}
	answerAll(target, gob.NewDecoder(bufio.NewReader(in)), answers)
	closed := make(chan error, 1)
	go func() { closed <- target.Close() }()
	select {
	case err := <-closed:
		return err
	case <-time.After(patience):
		return errNotClosed
	}
}

// answerAll carries out each call in a goroutine of its own.
func answerAll(target Target, requests *gob.Decoder, answers *sender) {
	var group sync.WaitGroup
	defer group.Wait()
	for {
		var r request
		if requests.Decode(&r) != nil {
			return // the end, or the end in the middle of a message
		}
		group.Go(func() {
			reply := response{ID: r.ID}
			if r.Measure {
				var err error
				reply.Takes, err = target.Footprint()
				reply.Failed = pack(err)
			} else {
				reply.Answer = target.Do(r.Call)
				reply.Failed, reply.Answer.Err = pack(reply.Answer.Err), nil
			}
			_ = answers.send(reply) // nobody reads it: the end will come in, too
		})
	}
}
