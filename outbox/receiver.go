package outbox

import (
	"errors"
	"fmt"
	"time"

	"forge.lthn.ai/core/go-store/internal/courier"

	"github.com/asynkron/protoactor-go/actor"
)

// send sends what was not sent in this round.
func (l *lane) send() {
	if time.Now().Before(l.until) {
		return
	}
	var to courier.Recipient
	for i := 0; i < len(l.window) && l.outbox.ctx.Err() == nil; i++ {
		f := l.window[i]
		if f.sent {
			continue
		}
		if f.message.Broken {
			if i == 0 && l.buryHead("it is not a message: something else wrote its row") {
				i--
			}
			if i >= 0 {
				return // in its turn
			}
			continue
		}
		if to.PID == nil {
			var err error
			if to, err = l.resolve(); err != nil {
				if l.outbox.ctx.Err() == nil {
					l.noReceiver(err.Error())
				}
				return
			}
			if l.lost != nil && l.lost.deaf != nil && l.lost.deaf.Equal(to.PID) {
				l.buryWindow()
				return
			}
			l.lost = nil
		}
		if !l.pass(to, f) {
			return
		}
	}
}

// pass sends one message. It blocks while the receiver's mailbox is full.
func (l *lane) pass(to courier.Recipient, f *flight) bool {
	if f.attempt == 0 {
		l.progress = time.Now()
	}
	f.attempt++
	l.mu.Lock()
	l.mu.flying[f.message.ID] = struct{}{}
	l.mu.Unlock()
	message := Message{ID: f.message.ID, Address: l.address, At: f.message.At, Payload: f.message.Payload, Expired: f.message.Expired, Attempt: f.attempt}
	if !to.Pass(&actor.MessageEnvelope{Message: message, Sender: l.outbox.self}, l.outbox.ctx.Done()) {
		f.attempt--
		if l.outbox.ctx.Err() == nil {
			l.noReceiver(fmt.Sprintf("there is no actor %s", to.PID))
		}
		return false
	}
	f.sent, f.at = true, time.Now()
	return true
}

// noReceiver counts an attempt for all, since there is no actor to send them to.
func (l *lane) noReceiver(reason string) {
	l.forget()
	for _, f := range l.window {
		f.attempt++
	}
	if l.lost != nil || len(l.window) > 0 && l.window[0].attempt >= l.outbox.options.Attempts && l.deaf() {
		l.again()
		l.lost = &lost{reason: reason}
		l.buryWindow()
		return
	}
	l.fail()
}

// resolve finds the receiver, and has its end told.
func (l *lane) resolve() (to courier.Recipient, err error) {
	returned := false
	defer func() {
		switch reason := recover(); {
		case reason != nil:
			err = fmt.Errorf("the function Resolve panicked: %v", reason)
		case !returned: // runtime.Goexit: run begins anew, on another goroutine
			l.noReceiver("the function Resolve has ended its goroutine")
		}
	}()
	pid, err := l.outbox.options.Resolve(l.address)
	returned = true
	if err != nil {
		return to, err
	}
	if pid == nil {
		return to, errors.New("the function Resolve knows no actor of that address")
	}
	if address := pid.Address; address != l.outbox.system.Address() && address != "nonhost" {
		return to, fmt.Errorf("the function Resolve has named %s, an actor of another system: receivers are local only", pid)
	}
	to = courier.Recipient{System: l.outbox.system, PID: actor.NewPID(pid.Address, pid.Id), Logger: l.outbox.options.Logger}
	if l.receiver == nil || !l.receiver.Equal(to.PID) {
		l.forget()
		l.receiver = to.PID
		if !l.outbox.watch(l, to) {
			l.receiver = nil
			return to, fmt.Errorf("there is no actor %s", to.PID)
		}
	}
	return to, nil
}

// forget ends the watch of the receiver.
func (l *lane) forget() {
	if l.receiver != nil {
		l.outbox.unwatch(l, courier.Recipient{System: l.outbox.system, PID: l.receiver, Logger: l.outbox.options.Logger})
	}
	l.receiver = nil
}
