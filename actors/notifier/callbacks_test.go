package notifier

import (
	"bytes"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// locked is a buffer that several goroutines may use.
type locked struct {
	sync.Mutex
	buffer bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.buffer.Write(p)
}

func (l *locked) String() string {
	l.Lock()
	defer l.Unlock()
	return l.buffer.String()
}

func newCallbacks(t *testing.T) (*Callbacks, *locked) {
	t.Helper()
	log := &locked{}
	c := NewCallbacks(slog.New(slog.NewTextHandler(log, nil)))
	t.Cleanup(c.Stop)
	return c, log
}

func TestCallbacksRunInOrderOfRegistration(t *testing.T) {
	c, _ := newCallbacks(t)
	require.False(t, c.Any())
	var calls []string
	first := c.Register(func(e kv.Event) { calls = append(calls, "first "+e.Key) })
	second := c.Register(func(e kv.Event) { calls = append(calls, "second "+e.Key) })
	require.True(t, c.Any())
	c.Run([]kv.Event{set("g", "a", ""), set("g", "b", "")})
	require.Equal(t, []string{"first a", "second a", "first b", "second b"}, calls)
	first()
	first() // idempotent: it must not take the other away
	calls = nil
	c.Run([]kv.Event{set("g", "c", "")})
	require.Equal(t, []string{"second c"}, calls)
	second()
	require.False(t, c.Any())
}

func TestCallbackChangesTheRegistry(t *testing.T) {
	c, _ := newCallbacks(t)
	var calls []string
	var unregister func()
	unregister = c.Register(func(e kv.Event) {
		calls = append(calls, e.Key)
		unregister()
		c.Register(func(e kv.Event) { calls = append(calls, "new "+e.Key) })
	})
	c.Run([]kv.Event{set("g", "a", ""), set("g", "b", "")})
	require.Equal(t, []string{"a", "new b"}, calls, "each event meets the registry of its moment")
}

func TestCallbackPanicIsTheCallers(t *testing.T) {
	c, _ := newCallbacks(t)
	unregister := c.Register(func(kv.Event) { panic("mine") })
	require.PanicsWithValue(t, "mine", func() { c.Run([]kv.Event{set("g", "k", "")}) })
	unregister()
}

func TestBackgroundEvents(t *testing.T) {
	c, log := newCallbacks(t)
	c.CallInBackground([]kv.Event{set("g", "nobody listens", "")})
	seen := make(chan string, 8)
	c.Register(func(e kv.Event) {
		if e.Key == "bad" {
			panic("in the background")
		}
	})
	c.Register(func(e kv.Event) { seen <- e.Key })
	c.CallInBackground([]kv.Event{set("g", "bad", ""), set("g", "good", "")})
	require.Equal(t, "bad", testkit.Await(t, "the second callback", seen), "a panic keeps it from no other")
	require.Equal(t, "good", testkit.Await(t, "the next event", seen))
	require.Contains(t, log.String(), "in the background")
	require.Zero(t, c.Overflow())
}

func TestBackgroundEventsOverflow(t *testing.T) {
	c, log := newCallbacks(t)
	entered, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var called atomic.Uint64
	c.Register(func(kv.Event) {
		once.Do(func() {
			close(entered)
			<-goOn
		})
		called.Add(1)
	})
	pair := []kv.Event{set("g", "a", ""), set("g", "b", "")}
	c.CallInBackground(pair)
	testkit.Await(t, "the slow callback", entered)
	for range backlog {
		c.CallInBackground(pair) // fills the queue
	}
	require.Zero(t, c.Overflow())
	testkit.Within(t, "CallInBackground with a full queue", func() {
		for range 5 {
			c.CallInBackground(pair)
		}
	})
	require.Equal(t, uint64(10), c.Overflow())
	require.Contains(t, log.String(), "too slow")
	close(goOn)
	testkit.Until(t, "the end of the queue", func() bool { return called.Load() == 2*(backlog+1) })
}

func TestStopDuringACallback(t *testing.T) {
	c, _ := newCallbacks(t)
	entered, stopped := make(chan struct{}), make(chan struct{})
	c.Register(func(kv.Event) {
		close(entered)
		c.Stop() // as Close from a callback does: it must not wait for itself
		close(stopped)
	})
	c.CallInBackground([]kv.Event{set("g", "k", "")})
	testkit.Await(t, "the callback", entered)
	testkit.Await(t, "Stop from the callback", stopped)
	c.Stop()
}
