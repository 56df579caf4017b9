package engine

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// goroutine names the goroutine that it is called in.
func goroutine() string {
	buffer := make([]byte, 64)
	name, _, _ := strings.Cut(string(buffer[:runtime.Stack(buffer, false)]), "[")
	return name
}

// TestAbandonedCaller: the context ends after admission. The caller can't know
// the outcome, the slot is taken until there is one, and the callbacks run in
// the background.
func TestAbandonedCaller(t *testing.T) {
	for name, watched := range map[string]bool{"answered by the writer": false, "answered by the notifier": true} {
		t.Run(name, func(t *testing.T) {
			pause := testkit.NewPause("writer.apply")
			e := open(t, Config{Failpoint: pause.Hook})
			if watched {
				e.Watch("", "*", "*")
			}
			called := make(chan string, 1)
			e.OnChange(func(event kv.Event) { called <- event.Key + " in " + goroutine() })
			ctx, cancel := context.WithCancel(t.Context())
			waiting := send(ctx, e, set("g", "k", "v"))
			testkit.Await(t, "the writer", pause.Reached)
			cancel()
			err := testkit.Await(t, "the caller", waiting).err
			require.ErrorIs(t, err, kv.UnknownOutcomeError)
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, 1, e.InFlight())
			require.Empty(t, called)
			close(pause.Resume)
			where := testkit.Await(t, "the callback", called)
			require.True(t, strings.HasPrefix(where, "k in "))
			require.NotEqual(t, "k in "+goroutine(), where)
			testkit.Until(t, "the slot's return", func() bool { return e.InFlight() == 0 })
			require.Equal(t, testkit.Present("v"), value(t, e, "g", "k"))
		})
	}
}

func TestCallbacksRunInTheCallersGoroutine(t *testing.T) {
	e := open(t, Config{MaxInFlight: 1})
	var calls []string
	unregister := e.OnChange(func(event kv.Event) {
		calls = append(calls, event.Key+" "+goroutine())
		if event.Key == "outer" { // the slot was given back before
			_, err := e.Apply(context.Background(), set("g", "inner", "v"))
			require.NoError(t, err)
		}
	})
	_, err := e.Apply(t.Context(), set("g", "outer", "v"))
	require.NoError(t, err)
	require.Equal(t, []string{"outer " + goroutine(), "inner " + goroutine()}, calls)
	unregister()
	unregister()
	must(t, e, set("g", "unheard", "v"))
	require.Len(t, calls, 2)
	require.Zero(t, e.CallbackOverflow())
}

func TestPanicOfACallbackLeavesTheWrite(t *testing.T) {
	e := open(t, Config{MaxInFlight: 1})
	unregister := e.OnChange(func(kv.Event) { panic("mine") })
	require.PanicsWithValue(t, "mine", func() { _, _ = e.Apply(t.Context(), set("g", "k", "v")) })
	unregister()
	require.Zero(t, e.InFlight())
	require.Equal(t, testkit.Present("v"), value(t, e, "g", "k"))
	must(t, e, set("g", "k", "w"))
}

// TestBoundedInFlight: the writer stands still and two requests are admitted.
// The third waits, can be cancelled, and is refused when the store closes.
func TestBoundedInFlight(t *testing.T) {
	pause := testkit.NewPause("writer.begin")
	e := open(t, Config{MaxInFlight: 2, Failpoint: pause.Hook})
	first := send(t.Context(), e, set("g", "first", "v"))
	testkit.Await(t, "the writer", pause.Reached)
	second := send(t.Context(), e, set("g", "second", "v"))
	testkit.Until(t, "the second one's admission", func() bool { return e.InFlight() == 2 })

	ctx, cancel := context.WithCancel(t.Context())
	third := send(ctx, e, set("g", "third", "v"))
	cancel()
	err := testkit.Await(t, "the third", third).err
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, kv.UnknownOutcomeError, "it was never admitted")

	fourth := send(t.Context(), e, set("g", "fourth", "v"))
	closed := make(chan error, 1)
	go func() { closed <- e.Close() }()
	require.ErrorIs(t, testkit.Await(t, "the fourth", fourth).err, kv.ClosedError)
	require.Empty(t, closed, "Close waits for what was admitted")
	require.Empty(t, first)
	close(pause.Resume)
	require.NoError(t, testkit.Await(t, "the first", first).err)
	require.NoError(t, testkit.Await(t, "the second", second).err)
	require.NoError(t, testkit.Await(t, "Close", closed))
	require.Zero(t, e.InFlight())
}

// TestEndedContext is refused before anything is sent.
func TestEndedContext(t *testing.T) {
	e := open(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := e.Apply(ctx, set("g", "k", "v"))
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, kv.UnknownOutcomeError)
	_, err = e.PurgeExpired(ctx, kv.PrefixRange(""))
	require.ErrorIs(t, err, context.Canceled)
	_, err = e.Usage(ctx, "n")
	if err != nil { // it may be answered faster than it looks at its context
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Equal(t, testkit.Absent, value(t, e, "g", "k"))
	_, err = e.Get(ctx, "g", "k")
	require.ErrorIs(t, err, context.Canceled)
}
