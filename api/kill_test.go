package api_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

var killFor = flag.Duration("kill", 2*time.Second, "how long TestKilledOwnersAndSubscribers goes on")

// childArgument is a number for a child: of its incarnation, or the revision
// that it begins with.
const childArgument = "GOSTORE_TEST_ARGUMENT"

const torrentWriters = 16

// childTorrent owns the store and writes from many goroutines. It prints the
// value of each write that was acknowledged, until it is killed.
func childTorrent(path string) error {
	store, err := api.New(path, api.WithPurgeInterval(time.Millisecond), api.WithHistory(api.Retention{Bytes: 1 << 30}))
	if err != nil {
		return err
	}
	fmt.Println("ready")
	errs := make(chan error, torrentWriters)
	for id := range torrentWriters {
		go func() {
			for serial := 0; ; serial++ {
				value := fmt.Sprintf("%s.%d.%d", os.Getenv(childArgument), id, serial)
				if err := torrentWrite(store, id, serial, value); err != nil {
					errs <- err
					return
				}
				fmt.Println(value)
			}
		}()
	}
	return <-errs
}

// torrentWrite makes one request, and one event of it has the value.
func torrentWrite(store *api.Store, id, serial int, value string) error {
	group, key := fmt.Sprint("g", serial%3), fmt.Sprint("k", id)
	switch serial % 5 {
	case 0:
		batch := new(api.Batch).Delete(group, key).Set(group, key+"'", "more").Increment("count", "n", 1)
		_, err := store.Batch(batch.Set(group, key, value).SetWithTTL("mortal", key, value+"'", time.Millisecond))
		return err
	case 1:
		return store.SetWithTTL(group, key, value, 2*time.Millisecond)
	case 2:
		if serial%50 == 2 {
			if err := store.DeleteGroup(group); err != nil {
				return err
			}
		}
	}
	return store.Set(group, key, value)
}

// childFollow follows a store that another process owns and prints each event.
func childFollow(path string) error {
	from, err := strconv.ParseUint(os.Getenv(childArgument), 10, 64)
	if err != nil {
		return err
	}
	store, err := api.New(path, api.WithReadOnly())
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for event, err := range store.Subscribe(context.Background(), api.SubscribeOptions{From: from}) {
		if err != nil {
			return err
		}
		fmt.Println(followed(event))
	}
	return errors.New("the subscription has ended without an error")
}

// followed is an event as a line. It begins with the revision.
func followed(e api.Event) string {
	return fmt.Sprintf("%d %v %q %q %q %d %d", e.Revision, e.Type, e.Group, e.Key, e.Value, e.Timestamp.UnixNano(), e.ExpiresAt.UnixMilli())
}

func revisionOf(t *testing.T, line string) uint64 {
	t.Helper()
	number, _, _ := strings.Cut(line, " ")
	revision, err := strconv.ParseUint(number, 10, 64)
	require.NoError(t, err, "%q", line)
	return revision
}

// listened is a child whose lines are received as they come.
type listened struct {
	*child
	done chan struct{}
	mu   struct {
		sync.Mutex
		lines []string
	}
}

func listenTo(t *testing.T, task, path string, argument uint64) *listened {
	t.Helper()
	t.Setenv(childArgument, strconv.FormatUint(argument, 10))
	l := &listened{child: startChild(t, task, path), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for l.child.lines.Scan() {
			l.mu.Lock()
			l.mu.lines = append(l.mu.lines, l.child.lines.Text())
			l.mu.Unlock()
		}
	}()
	return l
}

func (l *listened) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.mu.lines)
}

// more waits until it has printed so many lines more.
func (l *listened) more(t *testing.T, n int) {
	t.Helper()
	until := l.count() + n
	testkit.Until(t, "lines of the other process", func() bool { return l.count() >= until })
}

// end kills it and returns its whole lines: it may have been within one.
func (l *listened) end(t *testing.T) []string {
	t.Helper()
	_ = l.cmd.Process.Kill()
	testkit.Await(t, "the end of its lines", l.done)
	_ = l.cmd.Wait()
	return l.mu.lines
}

// TestKilledOwnersAndSubscribers: a process owns the file and writes, another
// one follows, and both are killed again and again, at any moment. The one goes
// on where the other was: every revision that was committed is seen exactly once,
// whole and in order, and everything acknowledged is among them.
func TestKilledOwnersAndSubscribers(t *testing.T) {
	path := newPath(t)
	random := rand.New(rand.NewPCG(6, 6))
	var seen []string // events of revisions that are complete
	next := uint64(1)
	acknowledged := map[string]bool{}
	take := func(follower *listened) {
		lines := follower.end(t)
		// The last line may be cut short, and its revision too: it is seen anew.
		if len(lines) > 0 {
			lines = lines[:len(lines)-1]
		}
		if len(lines) > 0 {
			next = revisionOf(t, lines[len(lines)-1])
			for len(lines) > 0 && revisionOf(t, lines[len(lines)-1]) == next {
				lines = lines[:len(lines)-1]
			}
		}
		seen = append(seen, lines...)
	}
	owner := listenTo(t, taskTorrent, path, 0)
	follower := listenTo(t, taskFollow, path, next)
	kills, began := 0, time.Now()
	for generation := uint64(1); generation <= 3 || time.Since(began) < *killFor; generation++ {
		owner.more(t, 1+random.IntN(100))
		if random.IntN(2) == 0 || generation == 2 {
			take(follower)
			follower = listenTo(t, taskFollow, path, next)
			owner.more(t, 1+random.IntN(100))
		}
		lines := owner.end(t)
		for _, value := range lines[:max(len(lines)-1, 0)] {
			acknowledged[value] = true
		}
		kills++
		owner = listenTo(t, taskTorrent, path, generation)
	}
	owner.end(t)
	store := openStore(t, path)
	current, err := store.Revision()
	require.NoError(t, err)
	require.NoError(t, store.Set("at last", "k", "v"))
	require.NoError(t, store.Set("at last", "k", "w")) // the end of what the follower is left with
	testkit.Until(t, "the follower", func() bool {
		follower.mu.Lock()
		defer follower.mu.Unlock()
		// Not the last line for sure: keys expire all the time.
		return slices.ContainsFunc(follower.mu.lines, func(line string) bool {
			return strings.Contains(line, `"at last" "k" "w"`)
		})
	})
	take(follower)

	var want []string
	revision := uint64(0)
	for event, err := range store.Subscribe(context.Background(), api.SubscribeOptions{From: 1}) {
		require.NoError(t, err)
		require.LessOrEqual(t, event.Revision-revision, uint64(1), "revisions are dense")
		if revision = event.Revision; revision > current {
			break
		}
		want = append(want, followed(event))
		if event.Type == api.EventSet {
			delete(acknowledged, event.Value)
		}
	}
	require.Empty(t, acknowledged, "these were acknowledged, and are not in the log")
	require.GreaterOrEqual(t, len(seen), len(want))
	for i := range want {
		require.Equal(t, want[i], seen[i], "event %d", i)
	}
	t.Logf("%d events of %d revisions, %d kills", len(want), current, kills)
}
