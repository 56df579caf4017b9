package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"forge.lthn.ai/core/go-store/api"
)

const (
	groups       = 20
	keys         = 1000 // a group
	valueSize    = 100
	namespaces   = 4
	quota        = 200 // keys of a namespace, of half as many again that are tried
	historyBytes = 1 << 20
	overlayBytes = 1 << 20 // folded, and the file as large as it will be, while the load begins
	cacheBytes   = 4 << 20 // full of old values and new ones within seconds
)

// load is what works on the store.
type load struct {
	store    *api.Store
	config   Config
	tenants  []*api.ScopedStore
	callers  []*caller
	audience []func(context.Context) error
	noise    string
	began    time.Time    // set before the callers start
	tickets  atomic.Int64 // calls that were due so far, with a rate

	// pause is held for reading during every call and for writing while a sample
	// is taken, so that calls under way are not taken for growth.
	pause sync.RWMutex

	// Owned by the goroutine that samples.
	sampled float64
	latency *hdrhistogram.Histogram
}

// caller is one goroutine that calls the store.
type caller struct {
	*load
	number  int
	random  *rand.Rand
	latency *hdrhistogram.Histogram // written during calls, read while they pause
	counts  []uint64                // likewise; by kind
}

func newLoad(store *api.Store, config Config) (*load, error) {
	random := rand.New(rand.NewPCG(config.Seed, 0x736f616b))
	l := &load{store: store, config: config, noise: noise(random), latency: newHistogram()}
	for i := range namespaces {
		tenant, err := api.NewScopedWithQuota(store, "tenant-"+strconv.Itoa(i), api.QuotaConfig{MaxKeys: quota, MaxGroups: 2})
		if err != nil {
			return nil, err
		}
		l.tenants = append(l.tenants, tenant)
	}
	for number := range config.Callers {
		l.callers = append(l.callers, &caller{load: l, number: number, latency: newHistogram(), counts: make([]uint64, len(kinds)),
			random: rand.New(rand.NewPCG(config.Seed, uint64(number)))})
	}
	l.audience = []func(context.Context) error{l.follow, l.skip, l.dawdle, l.forget}
	return l, nil
}

// fill writes every key once: the size that the database keeps from then on.
func fill(store *api.Store) error {
	random := rand.New(rand.NewPCG(0, 0))
	text := noise(random)
	for i := range groups {
		var items []api.Item
		for j := range keys {
			items = append(items, api.Item{Group: group(i), Key: key(j), Value: value(text, random)})
		}
		if err := store.SetAll(items); err != nil {
			return err
		}
	}
	return nil
}

// swell has the WAL grow, beside open snapshots, to the length that its file keeps
// from then on: 16 MiB. It is a high-water mark as that of crowd is, and so is the number
// of read transactions that snapshots of different times rely on.
func (l *load) swell() (err error) {
	var snapshots []*api.Snapshot
	defer func() {
		for _, snapshot := range snapshots {
			err = errors.Join(err, snapshot.Close())
		}
	}()
	random := rand.New(rand.NewPCG(l.config.Seed, 0))
	for commits := 0; commits < 64 && size(l.config.Path+"-wal") < 20<<20; commits++ {
		snapshot, err := l.store.Snapshot()
		if err != nil {
			return err
		}
		snapshots = append(snapshots, snapshot)
		items := make([]api.Item, 0, keys)
		for range keys {
			items = append(items, api.Item{Group: group(random.IntN(groups)), Key: key(random.IntN(keys)), Value: value(l.noise, random)})
		}
		if err := l.store.SetAll(items); err != nil {
			return err
		}
	}
	return nil
}

// crowd has 16 scans and twice as many snapshots open at once, fewer with fewer
// callers. Connections are opened whenever more of them coincide than ever
// before, and their descriptors kept: that high-water mark is reached here, and
// not by chance within the hour. More than coincide would hide a leak.
func (l *load) crowd() error {
	crowd := l.callers[:min(len(l.callers), 16)]
	errs := make(chan error, len(crowd))
	var arrived sync.WaitGroup
	arrived.Add(len(crowd))
	for i, c := range crowd {
		go func() {
			await := sync.OnceFunc(func() { arrived.Done(); arrived.Wait() })
			defer await() // also if there was an error: the others wait
			snapshot, err := l.store.Snapshot()
			if err != nil {
				errs <- err
				return
			}
			another, err := l.store.Snapshot()
			if err != nil {
				errs <- errors.Join(err, snapshot.Close())
				return
			}
			for _, err = range l.store.All(group(i % groups)) {
				if err != nil {
					break
				}
				await() // within the scan
			}
			errs <- errors.Join(err, c.whole(snapshot.All(group(i%groups))), snapshot.Close(), another.Close())
		}()
	}
	var all []error
	for range crowd {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

func group(i int) string { return "group-" + strconv.Itoa(i) }
func key(i int) string   { return "key-" + strconv.Itoa(i) }

func noise(random *rand.Rand) string {
	text := make([]byte, 1<<16)
	for i := range text {
		text[i] = ' ' + byte(random.IntN(95))
	}
	return string(text)
}

// value is another one each time: to write what is there already costs next to
// nothing.
func value(noise string, random *rand.Rand) string {
	offset := random.IntN(len(noise) - valueSize)
	return string([]byte(noise[offset : offset+valueSize])) // not a window into what lives anyhow
}

// calls are the calls of each kind. No caller may be at work.
func (l *load) calls() map[string]uint64 {
	calls := make(map[string]uint64)
	for _, c := range l.callers {
		for i, n := range c.counts {
			if n > 0 {
				calls[kinds[i].name] += n
			}
		}
	}
	return calls
}

// run calls until ctx ends.
func (c *caller) run(ctx context.Context) error {
	for n := 0; c.await(ctx); n++ {
		c.pause.RLock()
		began := time.Now()
		kind, err := c.call(ctx)
		_ = c.latency.RecordValue(min(int64(time.Since(began)), longest)) // can't be out of range
		c.counts[kind]++
		c.pause.RUnlock()
		if err != nil {
			return fmt.Errorf("caller %d, call %d (%s): %w", c.number, n, kinds[kind].name, err)
		}
	}
	return nil
}

// await returns when the caller's next call is due, false if there is none.
func (l *load) await(ctx context.Context) bool {
	if l.config.Rate == 0 {
		return ctx.Err() == nil
	}
	due := l.began.Add(time.Duration(float64(l.tickets.Add(1)) / l.config.Rate * float64(time.Second)))
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// kinds are the calls, each with how many of a thousand it is.
var kinds = [...]struct {
	name  string
	share int
	call  func(c *caller, ctx context.Context, group, key string) error
}{
	{"set", 340, func(c *caller, _ context.Context, group, key string) error { return c.store.Set(group, key, c.value()) }},
	{"set with a TTL", 90, func(c *caller, _ context.Context, group, key string) error {
		return c.store.SetWithTTL(group, key, c.value(), time.Duration(1+c.random.IntN(200))*time.Millisecond)
	}},
	{"get", 370, func(c *caller, _ context.Context, group, key string) error {
		_, err := c.store.Get(group, key)
		return but(err, api.NotFoundError)
	}},
	{"delete", 60, func(c *caller, _ context.Context, group, key string) error { return c.store.Delete(group, key) }},
	{"scoped", 50, func(c *caller, _ context.Context, _, _ string) error { return c.scoped() }},
	{"batch", 20, func(c *caller, _ context.Context, group, _ string) error { return c.batch(group) }},
	{"transaction", 15, func(c *caller, _ context.Context, group, key string) error { return c.transaction(group, key) }},
	{"scan", 10, func(c *caller, _ context.Context, group, _ string) error { return c.whole(c.store.All(group)) }},
	{"snapshot", 10, func(c *caller, _ context.Context, group, key string) error { return c.snapshot(group, key) }},
	{"count", 10, func(c *caller, _ context.Context, group, _ string) error {
		_, err := c.store.Count(group)
		return err
	}},
	{"subscribe", 10, func(c *caller, ctx context.Context, group, key string) error { return c.subscribe(ctx, group, key) }},
	{"watch", 10, func(c *caller, _ context.Context, group, key string) error {
		watcher := c.store.Watch(group, key)
		defer c.store.Unwatch(watcher)
		return c.store.Set(group, key, c.value())
	}},
	{"groups", 5, func(c *caller, _ context.Context, _, _ string) error {
		_, err := c.store.Groups("group-")
		return err
	}},
}

// call does one thing to one random key or group.
func (c *caller) call(ctx context.Context) (kind int, err error) {
	dice := c.random.IntN(1000)
	for dice >= kinds[kind].share {
		dice -= kinds[kind].share
		kind++
	}
	return kind, kinds[kind].call(c, ctx, group(c.random.IntN(groups)), key(c.random.IntN(keys)))
}

func (c *caller) value() string { return value(c.noise, c.random) }

// but is err, unless it is what may happen.
func but(err, may error) error {
	if errors.Is(err, may) {
		return nil
	}
	return err
}

// scoped works on a namespace that is at its quota half of the time.
func (c *caller) scoped() error {
	tenant := c.tenants[c.random.IntN(len(c.tenants))]
	name := key(c.random.IntN(quota * 3 / 2))
	switch dice := c.random.IntN(100); {
	case dice < 60:
		return but(tenant.Set("settings", name, c.value()), api.QuotaExceededError)
	case dice < 75:
		return but(tenant.SetWithTTL("sessions", name, c.value(), time.Duration(1+c.random.IntN(200))*time.Millisecond), api.QuotaExceededError)
	case dice < 98:
		return tenant.Delete("settings", name)
	case dice < 99:
		return tenant.DeleteGroup("sessions")
	}
	_, err := tenant.Usage()
	return err
}

// batch writes eight keys at once.
func (c *caller) batch(group string) error {
	var batch api.Batch
	for range 8 {
		batch.Set(group, key(c.random.IntN(keys)), c.value())
	}
	_, err := c.store.Batch(&batch)
	return err
}

// transaction exchanges two values.
func (c *caller) transaction(group, name string) error {
	other := key(c.random.IntN(keys))
	err := c.store.Transaction(func(tx *api.Transaction) error {
		first, err := tx.Get(group, name)
		if err != nil {
			return err
		}
		second, err := tx.Get(group, other)
		if err != nil {
			return err
		}
		return errors.Join(tx.Set(group, name, second), tx.Set(group, other, first))
	})
	var conflict *api.ConflictError
	if errors.As(err, &conflict) {
		return nil
	}
	return but(err, api.NotFoundError)
}

func (c *caller) snapshot(group, key string) error {
	snapshot, err := c.store.Snapshot()
	if err != nil {
		return err
	}
	_, getting := snapshot.Get(group, key)
	_, counting := snapshot.Count(group)
	return errors.Join(but(getting, api.NotFoundError), counting, c.whole(snapshot.All(group)), snapshot.Close())
}

// whole reads rows and checks that none is torn.
func (c *caller) whole(rows func(yield func(api.KeyValue, error) bool)) error {
	for row, err := range rows {
		if err != nil {
			return err
		}
		if len(row.Value) != valueSize {
			return fmt.Errorf("key %s holds %d bytes, not %d", row.Key, len(row.Value), valueSize)
		}
	}
	return nil
}

// subscribe resumes from a write of its own, which the log still holds unless
// others have written a mebibyte since.
func (c *caller) subscribe(ctx context.Context, group, key string) error {
	var batch api.Batch
	revision, err := c.store.Batch(batch.Set(group, key, c.value()))
	if err != nil {
		return err
	}
	options := api.SubscribeOptions{From: revision, Filters: []api.Filter{{Group: api.Exactly(group), Key: api.Exactly(key)}}}
	for event, err := range c.store.Subscribe(ctx, options) {
		if err == nil && event.Revision != revision {
			err = fmt.Errorf("the first event from revision %d on is of %d", revision, event.Revision)
		}
		return ended(ctx, err)
	}
	return ended(ctx, errors.New("the subscription ended without an event or an error"))
}

// ended is the error of a subscription, unless it may end like that.
func ended(ctx context.Context, err error) error {
	var compacted *api.CompactedError
	if ctx.Err() != nil || errors.As(err, &compacted) {
		return nil
	}
	return err
}

// follow subscribes to all and keeps up, or begins anew where it can't.
func (l *load) follow(ctx context.Context) error {
	for ctx.Err() == nil {
		for _, err := range l.store.Subscribe(ctx, api.SubscribeOptions{State: true}) {
			if err := ended(ctx, err); err != nil {
				return fmt.Errorf("the subscriber that follows: %w", err)
			}
		}
	}
	return nil
}

// skip subscribes to a few groups and skips what it is too slow for.
func (l *load) skip(ctx context.Context) error {
	return l.listen(ctx, api.SubscribeOptions{Slow: api.SlowSkip, Filters: []api.Filter{{Group: api.Prefix("group-1")}}}, 0)
}

// dawdle subscribes to all and takes one event in a while.
func (l *load) dawdle(ctx context.Context) error {
	return l.listen(ctx, api.SubscribeOptions{Slow: api.SlowSkip}, 50*time.Millisecond)
}

func (l *load) listen(ctx context.Context, options api.SubscribeOptions, rest time.Duration) error {
	timer := time.NewTimer(rest)
	defer timer.Stop()
	for _, err := range l.store.Subscribe(ctx, options) {
		if err := ended(ctx, err); err != nil {
			return fmt.Errorf("a subscriber that skips: %w", err)
		}
		if rest == 0 {
			continue
		}
		timer.Reset(rest)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return ended(ctx, errors.New("a subscription that skips ended without an error"))
}

// forget watches everything and never looks.
func (l *load) forget(ctx context.Context) error {
	watcher := l.store.Watch("*", "*")
	defer l.store.Unwatch(watcher)
	<-ctx.Done()
	return nil
}
