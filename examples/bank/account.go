package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	library "github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// What accounts are told.
type (
	pay     struct{ to, amount int }
	payment struct{ from, to, n, amount int } // the n-th from the one to the other
	arrived struct{ to, n int }               // the answer to a payment
	ask     struct{}

	everybodyIsThere struct{} // so that what was not answered may be sent again
)

// statement answers ask.
type statement struct {
	balance, underWay int
	made              map[int]int // payments, by payee
}

// account is a persistent actor: what has happened to it is in the store before any other actor is
// told, and what it is follows from that.
type account struct {
	library.Mixin
	number int
	told   chan<- payment
	there  *atomic.Bool // every account is: see openBank

	state struct {
		Open     bool
		Balance  int
		Made     map[int]int   // payments to others
		Taken    map[int]int   // payments from others
		UnderWay []unconfirmed // payments that were not answered, in order
	}
}

type unconfirmed struct{ To, N, Amount int }

func newAccount(number int, told chan<- payment, there *atomic.Bool) *account {
	a := &account{number: number, told: told, there: there}
	a.state.Made, a.state.Taken = make(map[int]int), make(map[int]int)
	return a
}

func nameOf(number int) string { return fmt.Sprintf("account-%d", number) }

// Receive handles what others ask for, and what it has written itself in a life before.
func (a *account) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *wrapperspb.StringValue: // an event, read again
		a.apply(m.GetValue())
	case *wrapperspb.BytesValue: // a snapshot
		if err := json.Unmarshal(m.GetValue(), &a.state); err != nil {
			panic(err)
		}
	case *library.RequestSnapshot: // as it was before the event that is being written
		if state, err := json.Marshal(a.state); err == nil {
			a.PersistSnapshot(wrapperspb.Bytes(state))
		}
	case *library.ReplayComplete:
		if !a.state.Open {
			a.happened("opened with %d", opening)
		}
		if a.there.Load() {
			a.sendAgain(c)
		}
	case everybodyIsThere:
		a.sendAgain(c)
	case pay:
		if m.amount > a.state.Balance {
			m.amount = 0
		}
		n := a.state.Made[m.to] + 1
		a.happened("paid %d to %d, the payment %d", m.amount, m.to, n)
		a.send(c, unconfirmed{m.to, n, m.amount})
		a.told <- payment{a.number, m.to, n, m.amount}
	case payment:
		a.take(c, m)
	case arrived:
		if len(a.state.UnderWay) > 0 {
			a.happened("payment %d has arrived at %d", m.n, m.to)
		}
	case ask:
		c.Respond(statement{a.state.Balance, len(a.state.UnderWay), maps.Clone(a.state.Made)})
	}
}

// sendAgain sends what was not answered: after a start of the bank, and after one of this
// account alone, which a failed write brings about.
func (a *account) sendAgain(c actor.Context) {
	for _, p := range a.state.UnderWay {
		a.send(c, p)
	}
}

func (a *account) send(c actor.Context, p unconfirmed) {
	c.Request(c.ActorSystem().NewLocalPID(nameOf(p.To)), payment{a.number, p.To, p.N, p.Amount})
}

// take is the payee's side. Payments from one account come in their order, some of them
// more than once.
func (a *account) take(c actor.Context, p payment) {
	payer := c.Sender() // a snapshot that is asked for in between takes it from the context
	switch had := a.state.Taken[p.from]; {
	case p.n == had+1, *bug:
		a.happened("got %d from %d, the payment %d", p.amount, p.from, p.n)
	case p.n > had+1:
		return // one before it is missing, and comes when the payer has started
	}
	c.Send(payer, arrived{a.number, p.n})
}

// happened writes an event and then goes by it. It blocks until the event is durable;
// those of all accounts that are written at the same time are one commit.
func (a *account) happened(format string, arguments ...any) {
	event := fmt.Sprintf(format, arguments...)
	a.PersistReceive(wrapperspb.String(event))
	a.apply(event)
}

func (a *account) apply(event string) {
	var amount, other, n int
	switch {
	case scan(event, "opened with %d", &amount):
		a.state.Open, a.state.Balance = true, amount
	case scan(event, "paid %d to %d, the payment %d", &amount, &other, &n):
		a.state.Balance -= amount
		a.state.Made[other] = n
		a.state.UnderWay = append(a.state.UnderWay, unconfirmed{other, n, amount})
	case scan(event, "got %d from %d, the payment %d", &amount, &other, &n):
		a.state.Balance += amount
		a.state.Taken[other] = max(a.state.Taken[other], n)
	case scan(event, "payment %d has arrived at %d", &n, &other):
		for i, p := range a.state.UnderWay {
			if p.To == other && p.N == n {
				a.state.UnderWay = append(a.state.UnderWay[:i], a.state.UnderWay[i+1:]...)
				break
			}
		}
	default:
		panic("no event of an account: " + event)
	}
}

func scan(text, format string, into ...any) bool {
	n, err := fmt.Sscanf(text, format, into...)
	return err == nil && n == len(into)
}
