package writer

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// goroutine names the goroutine that it is called in.
func goroutine() string {
	buffer := make([]byte, 64)
	name, _, _ := strings.Cut(string(buffer[:runtime.Stack(buffer, false)]), "[")
	return name
}

// committers notes in which goroutine each commit was made.
type committers struct {
	sync.Mutex
	last string
}

func (c *committers) hook(step string) {
	if step == "writer.commit" {
		c.Lock()
		defer c.Unlock()
		c.last = goroutine()
	}
}

// of is the goroutine of the commit of one mutation.
func (c *committers) of(t *testing.T, b *bench, ctx context.Context, key string) string {
	t.Helper()
	_, err := b.Apply(ctx, set("g", key))
	require.NoError(t, err)
	c.Lock()
	defer c.Unlock()
	return c.last
}

// alone commits until it is done in this goroutine, which it may not be while the writer
// is about to end.
func (c *committers) alone(t *testing.T, b *bench) (commits int) {
	t.Helper()
	for commits < 100_000 {
		commits++
		if c.of(t, b, context.Background(), fmt.Sprint(commits)) == goroutine() {
			return commits
		}
	}
	t.Error("no caller commits in its own goroutine")
	return commits
}

func TestASingleCallerCommitsInItsOwnGoroutine(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		c := new(committers)
		b := start(t, options{path: path, hook: c.hook, crowded: true})
		require.Greater(t, c.alone(t, b), enoughAlone, "that a caller is alone shows with time")
		for i := range 50 {
			require.Equal(t, goroutine(), c.of(t, b, context.Background(), fmt.Sprint("k", i)))
		}
		require.True(t, b.has("g", "k49"))

		// A caller that may have to leave does not.
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		require.NotEqual(t, goroutine(), c.of(t, b, ctx, "cancellable"))
		c.alone(t, b)

		// Nor does a caller that is not alone.
		other, err := b.gate.Admit(context.Background(), kv.Mutation{})
		require.NoError(t, err)
		require.NotEqual(t, goroutine(), c.of(t, b, context.Background(), "of two"))
		other.Resolve(kv.Outcome{}, nil)
		other.Release()
		_, err = other.Wait(context.Background())
		require.NoError(t, err)
	})
}

// Requests of others that come meanwhile are not the caller's work, and from then on it is not
// alone.
func TestCallerThatIsAloneRunsOneRequest(t *testing.T) {
	c, goOn := new(committers), make(chan struct{})
	var b *bench
	var others []<-chan result
	var first sync.Once
	armed := false
	b = start(t, options{crowded: true, hook: func(step string) {
		if c.hook(step); step != "writer.commit" || !armed {
			return
		}
		mine := false
		first.Do(func() {
			mine = true
			for i := range 5 {
				others = append(others, b.send(set("g", fmt.Sprint("other ", i))))
			}
		})
		if !mine {
			<-goOn
		}
	}})
	c.alone(t, b)
	armed = true
	_, err := b.Apply(context.Background(), set("g", "mine"))
	require.NoError(t, err, "it returns though the others' commit goes on")
	assert.Zero(t, b.alone.commits.Load())
	close(goOn)
	for _, other := range others {
		require.NoError(t, testkit.Await(t, "another's answer", other).err)
	}
	require.NotEqual(t, goroutine(), c.last)
}

// A failure of the writer is told as if it had been elsewhere, and never is the caller's
// panic.
func TestAFailureInTheCallersGoroutine(t *testing.T) {
	for _, step := range []string{"writer.accept", "writer.begin", "writer.apply", "writer.seal", "writer.commit", "writer.committed", "writer.publish"} {
		t.Run(step, func(t *testing.T) {
			eachStorage(t, func(t *testing.T, path string) {
				c, planned := new(committers), ""
				b := start(t, options{path: path, crowded: true, hook: func(s string) {
					if c.hook(s); s == planned {
						planned = ""
						panic("planned at " + s + " in " + goroutine())
					}
				}})
				c.alone(t, b)
				planned = step
				_, err := b.Apply(context.Background(), set("g", "k"))
				if step == "writer.committed" || step == "writer.publish" {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, kv.RolledBackError)
				}
				require.Equal(t, err == nil, b.has("g", "k"))
				require.Empty(t, planned)
				require.Zero(t, b.gate.InFlight())
				c.alone(t, b)
			})
		})
	}
}

// What is the store's user's (a Clock, a test's Action) may end the goroutine that it is
// called in, whose ever it is: the writer and the slots of the gate survive.
func TestTheEndOfAGoroutineInTheWriter(t *testing.T) {
	for _, step := range []string{"writer.accept", "writer.begin", "writer.apply", "writer.commit", "writer.committed", "writer.publish"} {
		for _, kept := range []bool{false, true} {
			t.Run(fmt.Sprint(step, ", the kept goroutine: ", kept), func(t *testing.T) {
				c, planned := new(committers), ""
				b := start(t, options{crowded: true, hook: func(s string) {
					if c.hook(s); s == planned {
						planned = ""
						runtime.Goexit()
					}
				}})
				c.alone(t, b)
				ctx, cancel := context.Background(), context.CancelFunc(func() {})
				if kept {
					ctx, cancel = context.WithCancel(ctx)
				}
				defer cancel()
				planned = step
				ended, answers := make(chan struct{}), make(chan error, 1)
				go func() {
					defer close(ended)
					_, err := b.Apply(ctx, set("g", "k"))
					answers <- err
				}()
				testkit.Await(t, "the caller's end", ended)
				committed := step == "writer.committed" || step == "writer.publish"
				if kept {
					require.Equal(t, committed, <-answers == nil)
				} else {
					require.Empty(t, answers)
				}
				b.settle()
				require.Equal(t, committed, b.has("g", "k"))
				require.Empty(t, planned)
				require.Zero(t, b.gate.InFlight())
				c.alone(t, b)
			})
		}
	}
}
