package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// trade reads and writes like a small shop, with some listeners, until end is called.
func trade(ctx context.Context, store *api.Store) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var workers sync.WaitGroup
	store.Watch("sessions", "*")
	slow := store.Watch("shop:orders/eu", "*") // no goroutine takes its events
	quick := store.Watch("config", "feature-flags")
	workers.Go(func() {
		for range quick.Events {
		}
	})
	workers.Go(func() {
		for _, err := range store.Subscribe(ctx, api.SubscribeOptions{Filters: []api.Filter{{Group: api.Prefix("billing:")}}}) {
			_ = err // it ends with the context
		}
	})
	for worker := range 4 {
		workers.Go(func() { work(ctx, store, uint64(worker)) })
	}
	return func() {
		cancel()
		store.Unwatch(slow)
		store.Unwatch(quick)
		workers.Wait()
	}
}

func work(ctx context.Context, store *api.Store, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 7))
	for n := 0; ctx.Err() == nil; n++ {
		if err := step(store, random); err != nil && !errors.Is(err, api.NotFoundError) {
			return
		}
		if n%8 == 7 {
			pause := 10 + 12*(1+float64(n/400%5)) // busier and quieter times
			select {
			case <-time.After(time.Duration(pause) * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
}

func step(store *api.Store, random *rand.Rand) error {
	i := random.IntN(9_000)
	switch random.IntN(12) {
	case 0:
		name := first[random.IntN(len(first))]
		return store.SetWithTTL("sessions", fmt.Sprintf("%s-%04x", name, i), `{"user":"`+name+`"}`, time.Duration(5+random.IntN(900))*time.Second)
	case 1:
		group, key, value := ware(random, "shop", i)
		return store.Set("shop:"+group, key, value)
	case 2:
		return store.Delete("shop:carts/"+regions[random.IntN(3)], fmt.Sprintf("cart-%05d", i/3*3))
	default:
		_, err := store.Get("shop:orders/"+regions[random.IntN(3)], fmt.Sprintf("2026-%02d-%05d", 1+i%12, i))
		return err
	}
}
