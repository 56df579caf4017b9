package persistence_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// keyLayout is a way to make the place of an event: see docs/adr/0050. The conditions are
// those of the provider, or others.
type keyLayout struct {
	name  string
	place func(actor, index int) (group, key string)
	write func(store *api.Store, batch *api.Batch, group, key, previous string, index int) error
}

func chained(store *api.Store, b *api.Batch, group, key, previous string, index int) error {
	b.Reset().Set(group, key, fmt.Sprintf("%0100d", index)).IfAbsent(group, key)
	if index > 0 {
		b.IfPresent(group, previous)
	}
	_, err := store.Batch(b)
	return err
}

func absentOnly(store *api.Store, _ *api.Batch, group, key, _ string, index int) error {
	_, err := store.SetIfAbsent(group, key, fmt.Sprintf("%0100d", index))
	return err
}

func unconditional(store *api.Store, _ *api.Batch, group, key, _ string, index int) error {
	return store.Set(group, key, fmt.Sprintf("%0100d", index))
}

func groupAnActor(actor, index int) (group, key string) {
	return fmt.Sprint("actors/account-", actor), fmt.Sprintf("e%016x", index)
}

var ours = keyLayout{"GroupAnActor", groupAnActor, chained}

var otherLayouts = []keyLayout{
	{"OneGroup", func(actor, index int) (group, key string) {
		return "actors", fmt.Sprintf("account-%d/e%016x", actor, index)
	}, chained},
	{"IndexFirst", func(actor, index int) (group, key string) {
		return "actors", fmt.Sprintf("e%016x/account-%d", index, actor)
	}, chained},
	{"GroupAnActorAbsentOnly", groupAnActor, absentOnly},
	{"GroupAnActorUnconditional", groupAnActor, unconditional},
}

// BenchmarkLayout_Append compares layouts by events a second of 1,000 actors.
func BenchmarkLayout_Append(b *testing.B) {
	for _, other := range otherLayouts {
		b.Run(other.name, func(b *testing.B) {
			compare(b, "what is cheapest", other.appending(b), ours.appending(b))
		})
	}
}

func (l keyLayout) appending(b *testing.B) benchSide {
	store, err := api.New(filepath.Join(b.TempDir(), "store.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	next := make([]int, benchActors)
	return benchSide{l.name, func() float64 {
		runtime.GC()
		var actors sync.WaitGroup
		var mu sync.Mutex
		events, begin := 0, time.Now()
		for actor := range next {
			actors.Go(func() {
				batch, n := new(api.Batch), 0
				for ; time.Since(begin) < *roundLength; n++ {
					index := next[actor]
					group, key := l.place(actor, index)
					_, previous := l.place(actor, index-1)
					if err := l.write(store, batch, group, key, previous, index); err != nil {
						b.Error(err)
						return
					}
					next[actor]++
				}
				mu.Lock()
				events += n
				mu.Unlock()
			})
		}
		actors.Wait()
		return float64(events) / time.Since(begin).Seconds()
	}}
}
