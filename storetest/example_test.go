package storetest_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/storetest"

	"github.com/asynkron/protoactor-go/actor"
)

// standIn takes the place of the *testing.T that a test has and an example has not.
type standIn struct {
	testing.TB
	folder   string
	cleanups []func()
}

func newStandIn() *standIn {
	folder, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	return &standIn{folder: folder, cleanups: []func(){func() { os.RemoveAll(folder) }}}
}

func (t *standIn) Helper()                        {}
func (t *standIn) TempDir() string                { return t.folder }
func (t *standIn) Cleanup(f func())               { t.cleanups = append(t.cleanups, f) }
func (t *standIn) Errorf(format string, a ...any) { fmt.Printf(format+"\n", a...) }
func (t *standIn) Fatalf(format string, a ...any) { log.Fatalf(format, a...) }

func (t *standIn) end() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}

// A session lives an hour, and the test takes no time.
func ExampleNew() {
	t := newStandIn() // the *testing.T of your test
	defer t.end()

	s := storetest.New(t)
	if err := s.SetWithTTL("sessions", "ada", "token", time.Hour); err != nil {
		t.Fatalf("%v", err)
	}
	s.Advance(59 * time.Minute)
	fmt.Println(s.Get("sessions", "ada"))
	s.Advance(time.Minute)
	_, err := s.Get("sessions", "ada")
	fmt.Println(errors.Is(err, api.NotFoundError))
	// Output:
	// token <nil>
	// true
}

// What was acknowledged is there after kill -9, and after a power cut.
func ExampleStore_Kill() {
	t := newStandIn()
	defer t.end()

	s := storetest.New(t)
	if err := s.Set("orders", "1", "paid"); err != nil {
		t.Fatalf("%v", err)
	}
	s.Kill()
	fmt.Println(s.Get("orders", "1"))
	for seed := range uint64(3) {
		s.PowerLoss(seed)
		fmt.Println(s.Get("orders", "1"))
	}
	// Output:
	// paid <nil>
	// paid <nil>
	// paid <nil>
	// paid <nil>
}

// The process dies right before a commit: the second write is not there.
func ExampleStore_At() {
	t := newStandIn()
	defer t.end()

	s := storetest.New(t)
	s.At("writer.commit", 2, storetest.Crash)
	fmt.Println("debit: ", s.Set("accounts", "ada", "0") == nil)
	fmt.Println("credit:", s.Set("accounts", "bob", "10") == nil)
	s.Kill()
	fmt.Println(s.GetAll("accounts"))
	// Output:
	// debit:  true
	// credit: false
	// map[ada:0] <nil>
}

// The disk is full for a while. Reads go on, and so do writes when there is space again.
func ExampleStore_Fault() {
	t := newStandIn()
	defer t.end()

	s := storetest.New(t)
	heal := s.Fault(storetest.DiskFull)
	err := s.Set("g", "k", "v")
	fmt.Println(errors.Is(err, api.DegradedError), errors.Is(s.Health().Err, api.DegradedError))
	heal()
	fmt.Println(s.Set("g", "k", "v"))
	// Output:
	// true true
	// <nil>
}

// Two actors read a number and write what they make of it. In one of the first runs the
// one reads before the other has written: the failure names the seed, and the seed shows it
// again.
func ExampleRun() {
	var t *testing.T // of your test
	type increment struct{}
	counter := func(m *storetest.Member) *actor.Props {
		return actor.PropsFromFunc(func(ctx actor.Context) {
			if _, ok := ctx.Message().(increment); !ok {
				return
			}
			value, err := m.Store.Get("counters", "n")
			if err != nil {
				m.World.Errorf("%v", err)
			}
			n, _ := strconv.Atoi(value)
			if err := m.Store.Set("counters", "n", strconv.Itoa(n+1)); err != nil { // Increment would be right
				m.World.Errorf("%v", err)
			}
		})
	}
	storetest.Run(t, storetest.Actors{"one": counter, "two": counter}, func(w *storetest.World) {
		if err := w.Store.Set("counters", "n", "0"); err != nil {
			w.Fatalf("%v", err)
		}
		w.Send("one", increment{})
		w.Send("two", increment{})
		w.Settle()
		if n, _ := w.Store.Get("counters", "n"); n != "2" {
			w.Errorf("an update was lost: %s", n)
		}
	})
}
