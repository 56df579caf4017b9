package storetest_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/storetest"

	"github.com/asynkron/protoactor-go/actor"
)

// Time passes for the store, and at once.
func ExampleStore_Advance() {
	t := newStandIn() // the *testing.T of your test
	defer t.end()
	s := storetest.New(t, storetest.InMemory())
	if err := s.SetWithTTL("sessions", "ada", "token", time.Hour); err != nil {
		t.Fatalf("%v", err)
	}
	s.Advance(time.Hour)
	fmt.Println(s.Exists("sessions", "ada"))
	// Output: false <nil>
}

// The machine's clock is set: no time passes by that.
func ExampleStore_Jump() {
	t := newStandIn()
	defer t.end()
	s := storetest.New(t, storetest.InMemory())
	before := s.Clock().Now()
	s.Jump(48 * time.Hour)
	fmt.Println(s.Clock().Now().Sub(before))
	// Output: 48h0m0s
}

// The store's clock, for what is tested beside it.
func ExampleStore_Clock() {
	t := newStandIn()
	defer t.end()
	s := storetest.New(t, storetest.InMemory())
	fmt.Println(s.Clock().Now().Format(time.DateTime))
	fmt.Println(storetest.New(t, storetest.InMemory(), storetest.RealClock()).Clock())
	// Output:
	// 2026-01-02 03:04:05
	// <nil>
}

func ExampleStore_Path() {
	t := newStandIn()
	defer t.end()
	fmt.Println(storetest.New(t, storetest.InMemory()).Path())
	fmt.Println(filepath.Base(storetest.New(t, storetest.File(filepath.Join(t.TempDir(), "app.db"))).Path()))
	// Output:
	// :memory:
	// app.db
}

// The process dies here: what is written from now on reaches no disk.
func ExampleStore_Crash() {
	t := newStandIn()
	defer t.end()
	s := storetest.New(t)
	s.Crash()
	fmt.Println(s.Set("orders", "1", "paid") != nil)
	s.Kill()
	fmt.Println(s.Count("orders"))
	// Output:
	// true
	// 0 <nil>
}

// A power cut keeps what was synced, and of the rest any part.
func ExampleStore_PowerLoss() {
	t := newStandIn()
	defer t.end()
	s := storetest.New(t)
	for seed := range uint64(3) {
		if err := s.Set("orders", fmt.Sprint(seed), "paid"); err != nil {
			t.Fatalf("%v", err)
		}
		s.PowerLoss(seed)
	}
	fmt.Println(s.Count("orders"))
	// Output: 3 <nil>
}

// The program ends and starts again, in good order.
func ExampleStore_Reopen() {
	t := newStandIn()
	defer t.end()
	s := storetest.New(t, storetest.With(api.WithWatchBuffer(64)))
	if err := s.Set("orders", "1", "paid"); err != nil {
		t.Fatalf("%v", err)
	}
	fmt.Println(s.Reopen())
	fmt.Println(s.Get("orders", "1"))
	// Output:
	// <nil>
	// paid <nil>
}

// Two stores and a program that live by one clock.
func ExampleNewClock() {
	t := newStandIn()
	defer t.end()
	clock := storetest.NewClock()
	ours := storetest.New(t, storetest.InMemory(), storetest.WithClock(clock))
	theirs := storetest.New(t, storetest.InMemory(), storetest.WithClock(clock))
	stop := clock.AfterFunc(2*time.Hour, func() { fmt.Println("two hours later") })
	for _, s := range []*storetest.Store{ours, theirs} {
		if err := s.SetWithTTL("sessions", "ada", "token", time.Hour); err != nil {
			t.Fatalf("%v", err)
		}
	}
	clock.Advance(90 * time.Minute)
	fmt.Println(ours.Exists("sessions", "ada"))
	fmt.Println(theirs.Exists("sessions", "ada"))
	clock.Jump(-time.Hour) // the date is set back, and no time passes
	fmt.Println(clock.Now().Format(time.TimeOnly), stop())
	// Output:
	// false <nil>
	// false <nil>
	// 03:34:05 true
}

// Where a store is may be said, and by what options it is opened.
func ExampleFile() {
	t := newStandIn()
	defer t.end()
	options := []storetest.Option{storetest.File(filepath.Join(t.TempDir(), "app.db")), storetest.With(api.WithPurgeInterval(time.Minute))}
	s := storetest.New(t, options...)
	fmt.Println(s.Set("orders", "1", "paid"))
	// Output: <nil>
}

func ExampleInMemory() {
	t := newStandIn()
	defer t.end()
	s := storetest.New(t, storetest.InMemory())
	if err := s.Set("orders", "1", "paid"); err != nil {
		t.Fatalf("%v", err)
	}
	s.Kill() // as the end of a process does
	fmt.Println(s.Count("orders"))
	// Output: 0 <nil>
}

func ExampleWith() {
	t := newStandIn()
	defer t.end()
	s := storetest.New(t, storetest.With(api.WithSizeLimits(api.SizeLimits{Value: 3})))
	fmt.Println(errors.Is(s.Set("orders", "1", "paid"), api.TooLargeError))
	// Output: true
}

func ExampleWithClock() {
	t := newStandIn()
	defer t.end()
	clock := storetest.NewClock()
	s := storetest.New(t, storetest.InMemory(), storetest.WithClock(clock))
	s.Advance(time.Minute)
	fmt.Println(clock.Now().Format(time.TimeOnly))
	// Output: 03:05:05
}

func ExampleRealClock() {
	t := newStandIn()
	defer t.end()
	s := storetest.New(t, storetest.InMemory(), storetest.RealClock())
	if err := s.SetWithTTL("sessions", "ada", "token", time.Hour); err != nil {
		t.Fatalf("%v", err)
	}
	entry, err := s.Entry("sessions", "ada")
	fmt.Println(time.Until(entry.ExpiresAt).Round(time.Minute), err)
	// Output: 1h0m0s <nil>
}

// A store that is left unable to write fails its test, unless that was the point.
func ExampleAllowDegraded() {
	t := newStandIn()
	defer t.end()
	s := storetest.New(t, storetest.AllowDegraded())
	s.Fault(storetest.ReadOnlyDisk)
	fmt.Println(errors.Is(s.Set("orders", "1", "paid"), api.DegradedError))
	// Output: true
}

// A disk fails in many ways: at certain calls, once, of certain files.
func ExampleFault() {
	for _, fault := range []storetest.Fault{
		storetest.DiskFull,
		storetest.WritesFail.OnLog(),
		storetest.TornWrites.After(3).Once(),
		storetest.SyncFails,
		storetest.ReadsFail.OnDatabase(),
		storetest.ReadOnlyDisk,
	} {
		fmt.Println(fault)
	}
	// Output:
	// DiskFull
	// WritesFail.OnLog()
	// TornWrites.After(3).Once()
	// SyncFails
	// ReadsFail.OnDatabase()
	// ReadOnlyDisk
}

func ExampleSlowDisk() {
	t := newStandIn()
	defer t.end()
	s := storetest.New(t)
	heal := s.Fault(storetest.SlowDisk(time.Millisecond))
	fmt.Println(s.Set("orders", "1", "paid"))
	heal()
	// Output: <nil>
}

// An actor of the store fails: the store starts it anew, and answers the callers it has failed.
func ExamplePanic() {
	t := newStandIn()
	defer t.end()
	s := storetest.New(t, storetest.InMemory())
	var action storetest.Action = storetest.Panic
	s.At("writer.commit", 1, action)
	fmt.Println(errors.Is(s.Set("orders", "1", "paid"), api.RolledBackError))
	fmt.Println(s.Set("orders", "1", "paid"))
	// Output:
	// true
	// <nil>
}

func ExampleCrash() {
	t := newStandIn()
	defer t.end()
	s := storetest.New(t)
	reached := s.At("writer.commit", 1, storetest.Crash)
	fmt.Println(s.Set("orders", "1", "paid") != nil)
	<-reached
	s.Kill()
	fmt.Println(s.Count("orders"))
	// Output:
	// true
	// 0 <nil>
}

// The steps at which something can be made to happen.
func ExamplePoints() {
	fmt.Println(slices.Contains(storetest.Points(), "writer.commit"))
	// Output: true
}

// A program is killed at each of its steps, and each time what is left is right.
func ExampleEachCrash() {
	var t *testing.T // of your test
	storetest.EachCrash(t, func(s *storetest.Store) {
		if err := s.Set("accounts", "ada", "100"); err != nil {
			panic(err)
		}
	}, func(t *testing.T, s *storetest.Store) {
		_, err := s.Increment("accounts", "ada", -30)
		s.Kill()
		switch left, _ := s.Get("accounts", "ada"); {
		case left == "70", left == "100" && err != nil:
		default:
			t.Errorf("%s are left: %v", left, err)
		}
	})
}

// What there is to drive a run by, and to say of it.
func ExampleWorld() {
	var t *testing.T // of your test
	greeter := func(m *storetest.Member) *actor.Props {
		return m.World.Props("greeter's child", actor.PropsFromFunc(func(actor.Context) {}))
	}
	storetest.Run(t, storetest.Actors{"greeter": greeter}, func(w *storetest.World) {
		w.Helper()
		w.Logf("seed %d, and by chance %d", w.Seed(), w.Rand().IntN(10))
		w.Send("greeter", "hello")
		w.System().Root.Send(w.PID("greeter"), "hello again")
		w.Settle()
		w.Advance(time.Hour)
		if w.Kill(); w.Killed() {
			w.Errorf("dead: %q", w.Trace())
		}
		if w.Failed() {
			w.FailNow()
		}
		if n, err := w.Store.Count("greetings"); err != nil || n > 0 {
			w.Fatalf("%d greetings: %v", n, err)
		}
	})
}
