package stress

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"io"
	"sync"
	"time"
)

// Serve opens the store at path and carries out what comes in until there is
// no more: then the process that sent it has closed its end, or has ended,
// however it did. It is what a process does that Spawn starts.
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
	subscriptions := map[uint64]context.CancelFunc{}
	defer func() {
		for _, cancel := range subscriptions {
			cancel()
		}
		group.Wait()
	}()
	for {
		var r request
		if requests.Decode(&r) != nil {
			return // the end, or the end in the middle of a message
		}
		if r.Cancel {
			if cancel := subscriptions[r.ID]; cancel != nil {
				cancel()
				delete(subscriptions, r.ID)
			}
			continue
		}
		if r.Subscribe != nil {
			ctx, cancel := context.WithCancel(context.Background())
			subscriptions[r.ID] = cancel
			group.Go(func() { sendEvents(ctx, target, r, answers) })
			continue
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
			_ = answers.send(reply) // no harness reads it: the end will come in, too
		})
	}
}

// sendEvents sends what a subscription yields, and then that it has ended.
func sendEvents(ctx context.Context, target Target, r request, answers *sender) {
	events, last := target.Subscribe(ctx, *r.Subscribe), response{ID: r.ID}
	if events == nil {
		last.Failed = pack(errNoSubscriptions)
		_ = answers.send(last)
		return
	}
	for event, err := range events {
		if err != nil {
			last.Failed = pack(err)
			break
		}
		if answers.send(response{ID: r.ID, Event: &event}) != nil {
			return
		}
	}
	_ = answers.send(last)
}
