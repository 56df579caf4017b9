package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEventsComeInCommitOrder: 64 goroutines write the same keys. The last
// event of a key carries what is stored, no goroutine's writes overtake each other,
// and a watcher of one key sees what the watcher of everything sees of it.
func TestEventsComeInCommitOrder(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		const writers, rounds, keys = 64, 30, 5
		e := open(t, Config{Path: path, WatchBuffer: writers * rounds})
		all, single := e.Watch("", "*", "*"), e.Watch("", "g", "0")
		testkit.Within(t, "the writers", func() {
			var writing sync.WaitGroup
			for id := range writers {
				writing.Go(func() {
					for round := range rounds {
						m := set("g", fmt.Sprint((id+round)%keys), fmt.Sprintf("%d %d", id, round))
						_, err := e.Apply(context.Background(), m)
						assert.NoError(t, err)
					}
				})
			}
			writing.Wait()
		})
		require.Len(t, all.Events, writers*rounds, "all events are there when the last write has returned")
		lastOf, rounded := make(map[string]string), make(map[int]int)
		var ofOne []kv.Event
		var latest time.Time
		for range writers * rounds {
			event := <-all.Events
			require.False(t, event.Timestamp.Before(latest))
			latest = event.Timestamp
			lastOf[event.Key] = event.Value
			if event.Key == "0" {
				ofOne = append(ofOne, event)
			}
			var id, round int
			_, err := fmt.Sscan(event.Value, &id, &round)
			require.NoError(t, err)
			require.Equal(t, rounded[id], round, "writer %d", id)
			rounded[id]++
		}
		require.Len(t, lastOf, keys)
		for key, last := range lastOf {
			require.Equal(t, testkit.Present(last), value(t, e, "g", key))
		}
		require.Len(t, single.Events, len(ofOne))
		for _, event := range ofOne {
			require.Equal(t, event, <-single.Events)
		}
		require.Zero(t, all.Dropped()+single.Dropped())
	})
}

// TestWhatAWriteReturnsIsWithItsWatchers, or counted there.
func TestWhatAWriteReturnsIsWithItsWatchers(t *testing.T) {
	e := open(t, Config{WatchBuffer: 2})
	testkit.Within(t, "the writers", func() {
		var writing sync.WaitGroup
		for id := range 16 {
			writing.Go(func() {
				key := fmt.Sprint(id)
				w := e.Watch("", "g", key)
				for i := range 50 {
					_, err := e.Apply(context.Background(), set("g", key, key))
					assert.NoError(t, err)
					assert.Equal(t, i+1, len(w.Events)+int(w.Dropped()))
				}
				assert.Len(t, w.Events, 2)
				e.Unwatch(w)
			})
		}
		writing.Wait()
	})
}

// TestEventsOfEachKind, in order, for watchers of a namespace too.
func TestEventsOfEachKind(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		source := testkit.NewClock()
		e := open(t, Config{Path: path, Clock: source, WatchBuffer: 100})
		all, inside := e.Watch("", "*", "*"), e.Watch("n", "*", "*")
		must(t, e, set("n:g", "a", "1"))
		must(t, e, set("loose", "a", "2"))
		must(t, e, kv.Mutation{Kind: kv.Delete, Group: "n:g", Key: "absent"})
		must(t, e, kv.Mutation{Kind: kv.Delete, Group: "n:g", Key: "a"})
		must(t, e, set("n:g", "b", "3"))
		must(t, e, set("n:h", "c", "4"))
		must(t, e, kv.Mutation{Kind: kv.DeletePrefix, Range: kv.NamespaceRange("n")})
		must(t, e, ttl(set("n:g", "d", "5"), time.Second))
		source.Advance(time.Second)
		must(t, e, set("n:g", "d", "6"))
		must(t, e, kv.Mutation{Kind: kv.DeleteGroup, Group: "n:g"})
		must(t, e, kv.Mutation{Kind: kv.DeleteGroup, Group: "n:g"})
		must(t, e, ttl(set("n:g", "never", "7"), 0))
		must(t, e, kv.Mutation{Kind: kv.DeleteGroup, Group: "n:g"}) // has no live row: it expires, no more
		want := strings.Fields("set/n:g/a/1 set/loose/a/2 delete/n:g/a/ set/n:g/b/3 set/n:h/c/4" +
			" delete_group/n:g// delete_group/n:h// set/n:g/d/5 expire/n:g/d/5 set/n:g/d/6 delete_group/n:g//" +
			" set/n:g/never/7 expire/n:g/never/7")
		for _, short := range want {
			event := <-all.Events
			require.Equal(t, short, fmt.Sprintf("%v/%s/%s/%s", event.Type, event.Group, event.Key, event.Value))
			if strings.HasPrefix(event.Group, "n:") {
				require.Equal(t, event, <-inside.Events)
			}
		}
		require.Empty(t, all.Events)
		require.Empty(t, inside.Events)
	})
}
