// Package outbox delivers what a store has for actors: the messages of Tell, and those
// of keys that have expired with a NotifyOnExpiry.
//
// A message is sent, at least once, to the actor that its address stands for, until
// that actor acknowledges it: then its row is removed. What was not acknowledged is sent
// again, by this process or the next one, with the same ID, by which the receiver drops
// what it has had already. Messages of one address are sent in the order of their
// commits, some of them before the first is acknowledged (Options.Window): a receiver that
// fails at one has those behind it before that one again, unless the window is 1. An address at
// which there is no actor, or one that answers nothing, is tried less and less often; after
// Options.Attempts its messages go to the dead letters, with the reason.
//
// The package owns a goroutine for each address that has messages, and an actor that
// takes acknowledgements. It keeps nothing that is not in the store but what is on its
// way, never blocks on a receiver's mailbox but in that address's goroutine, and knows
// the store by its API alone. One outbox delivers for a store at a time: two would
// deliver everything twice.
package outbox

import (
	"log/slog"
	"time"

	"forge.lthn.ai/core/go-store/api"

	"github.com/asynkron/protoactor-go/actor"
)

// Options says how messages are delivered. The zero value is made for actors of the
// same process.
type Options struct {
	// Resolve says which actor an address stands for. It is called from a goroutine of
	// the address and may block. Default: the actor that was spawned in the system under
	// that name. It has to be one of this system.
	Resolve func(address string) (*actor.PID, error)
	// Window is how many messages of an address are on their way at a time, from 1 to
	// 65,536; default 256. With more than 1 a receiver that fails at one message has
	// those behind it before it gets that one again.
	Window int
	// Timeout is how long an address may answer nothing before everything that is on its way to
	// it, a window, is sent again; default 10 s. Let it be longer than what a receiver does
	// for one message takes: else it has those behind that one once more for each Timeout.
	Timeout time.Duration
	// The pauses of an address that failed: FirstPause, then twice as long each time, up
	// to LastPause; default 100 ms and a minute.
	FirstPause, LastPause time.Duration
	// Attempts is how often a message is tried in a row before it is given up; default 20,
	// which takes some 12 minutes. An answer (Ack, Reject) has the attempts of all messages
	// behind the answered one count anew; one that was passed over keeps its own, and is given
	// up alone. If nothing was answered for as often, what waits behind a message for the same
	// address is given up with it if no actor was there, and behind 16 in a row that an actor
	// left unanswered; what comes later is tried again.
	Attempts int
	// Addresses is how many are served at a time. While others wait, one that pauses, or
	// has had a window delivered, gives its place up, and those that wait have their turns
	// round robin. Each takes some kilobytes, and up to 256 KiB, or one message, of what
	// is on its way; one that pauses without a place some hundred bytes. Of these 65,536 are
	// remembered: those beyond begin anew with their turn, their attempts forgotten.
	// Default 1,024.
	Addresses int
	// Logger gets what the outbox has to say, never a payload. Default: nothing.
	Logger *slog.Logger
}

// Message is what a receiver gets. It acknowledges by ctx.Respond(message.Ack()).
type Message struct {
	ID      string    // of this message alone in its store: the same each time it is sent
	Address string    // in full: a namespace's has it and a colon before
	At      time.Time // when it was committed
	Payload string
	Expired *Expired // not nil: a key with NotifyOnExpiry has expired, and there is no Payload
	Attempt int      // 1 at first; counts anew, from 2, when a message before it was answered
}

// Expired is the key that has expired: its full Group, Key, last Value and when
// (ExpiresAt). With Omitted the value was too large.
type Expired = api.ExpiredKey

// Ack acknowledges the message.
func (m Message) Ack() Ack { return Ack{ID: m.ID, Address: m.Address} }

// IgnoreDeadLetterLogging keeps values out of Proto.Actor's log.
func (Message) IgnoreDeadLetterLogging() {}

// Reject refuses the message: it goes to the dead letters at once, with the reason. Of an Ack and a
// Reject of one message the first counts.
func (m Message) Reject(reason string) Reject { return Reject{m.ID, m.Address, reason} }

// Reject is the receiver's answer to a message that it will never take.
type Reject struct{ ID, Address, Reason string }

// IgnoreDeadLetterLogging keeps what comes after Stop out of Proto.Actor's log.
func (Reject) IgnoreDeadLetterLogging() {}

// Ack is the receiver's answer: the message need not come again. Without Address it is
// that of whatever address has a message of this ID on its way.
type Ack struct{ ID, Address string }

// IgnoreDeadLetterLogging keeps what comes after Stop out of Proto.Actor's log.
func (Ack) IgnoreDeadLetterLogging() {}
