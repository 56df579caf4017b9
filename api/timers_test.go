package api_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"
)

// timed is a key as the model knows it.
type timed struct {
	value    string
	deadline int64 // kv.NoDeadline: never
	address  string
}

// timersModel is what the store must hold: keys with their timers, and the messages
// that there are.
type timersModel struct {
	t      *testing.T
	random *rand.Rand
	clock  *testkit.Clock
	store  *api.Store
	scope  *api.ScopedStore
	faults *testkit.Faults

	focus kv.Key // that the call in hand prefers
	keys  map[kv.Key]timed
	sent  map[string][]string // by address, "group/key=value@deadline"
	met   map[string]int
}

// expire moves what has expired to the messages: it is not told apart whether the
// store has removed it already.
func (m *timersModel) expire() {
	now := m.clock.Now().UnixMilli()
	for place, key := range m.keys {
		if key.deadline <= now {
			if key.address != "" {
				m.sent[key.address] = append(m.sent[key.address],
					fmt.Sprintf("%s/%s=%s@%d", place.Group, place.Key, key.value, key.deadline))
				m.met["expired with a timer"]++
			}
			delete(m.keys, place)
		}
	}
}

func (m *timersModel) deadlineIn(ttl time.Duration) int64 {
	return kv.DeadlineAfter(m.clock.Now(), ttl)
}

// operation is one write, as a batch and a transaction have it, with what it does to
// the model. It fails only for want of the key.
type operation struct {
	name    string
	batch   func(*api.Batch)
	tx      func(*api.Transaction) error
	apply   func()
	missing bool
}

func (m *timersModel) operation(prefix string) operation {
	group, key := m.focus.Group, m.focus.Key // else few calls would meet a key twice
	if m.random.IntN(2) == 0 {
		group, key = fmt.Sprint("g", m.random.IntN(3)), fmt.Sprint("k", m.random.IntN(4))
	}
	place := kv.Key{Group: prefix + group, Key: key}
	value := fmt.Sprint(m.random.IntN(1000))
	ttl := time.Duration(m.random.IntN(4000)-300) * time.Millisecond
	address := fmt.Sprint("a", m.random.IntN(2))
	// A TTL that has ended already leaves a key that no read finds, as the model has it
	// from its next look on.
	set := func(now timed) func() { return func() { m.keys[place] = now } }
	o := operation{}
	m.expire()
	current, found := m.keys[place]
	switch m.random.IntN(12) {
	case 0:
		o = operation{name: "set", batch: func(b *api.Batch) { b.Set(group, key, value) },
			tx:    func(tx *api.Transaction) error { return tx.Set(group, key, value) },
			apply: set(timed{value, kv.NoDeadline, ""})}
	case 1:
		o = operation{name: "set with ttl", batch: func(b *api.Batch) { b.SetWithTTL(group, key, value, ttl) },
			tx:    func(tx *api.Transaction) error { return tx.SetWithTTL(group, key, value, ttl) },
			apply: set(timed{value, m.deadlineIn(ttl), ""})}
	case 2, 3, 4, 5:
		notify := api.NotifyOnExpiry(address)
		o = operation{name: "set with a timer", batch: func(b *api.Batch) { b.SetWithTTL(group, key, value, ttl, notify) },
			tx:    func(tx *api.Transaction) error { return tx.SetWithTTL(group, key, value, ttl, notify) },
			apply: set(timed{value, m.deadlineIn(ttl), prefix + address})}
	case 6:
		next := current
		next.deadline = m.deadlineIn(ttl)
		o = operation{name: "touch", missing: !found, batch: func(b *api.Batch) { b.Touch(group, key, ttl) },
			tx: func(tx *api.Transaction) error { return tx.Touch(group, key, ttl) }, apply: set(next)}
	case 7:
		o = operation{name: "persist", missing: !found, batch: func(b *api.Batch) { b.Persist(group, key) },
			tx:    func(tx *api.Transaction) error { return tx.Persist(group, key) },
			apply: set(timed{current.value, kv.NoDeadline, ""})}
	case 8:
		next := current
		number, _ := kv.Add(current.value, found, 7)
		next.value = fmt.Sprint(number)
		if !found {
			next.deadline = kv.NoDeadline
		}
		o = operation{name: "increment", batch: func(b *api.Batch) { b.Increment(group, key, 7) },
			tx: func(tx *api.Transaction) error {
				_, err := tx.Increment(group, key, 7)
				return err
			}, apply: set(next)}
	case 9:
		o = operation{name: "delete", batch: func(b *api.Batch) { b.Delete(group, key) },
			tx:    func(tx *api.Transaction) error { return tx.Delete(group, key) },
			apply: func() { delete(m.keys, place) }}
	case 10:
		o = operation{name: "delete group", batch: func(b *api.Batch) { b.DeleteGroup(group) },
			tx:    func(tx *api.Transaction) error { return tx.DeleteGroup(group) },
			apply: func() { m.deleteGroups(func(g string) bool { return g == prefix+group }) }}
	case 11:
		under := []string{"g", "g1", "x"}[m.random.IntN(3)]
		o = operation{name: "delete prefix", batch: func(b *api.Batch) { b.DeletePrefix(under) },
			tx:    func(tx *api.Transaction) error { return tx.DeletePrefix(under) },
			apply: func() { m.deleteGroups(func(g string) bool { return strings.HasPrefix(g, prefix+under) }) }}
	}
	return o
}

func (m *timersModel) deleteGroups(wanted func(string) bool) {
	for place := range m.keys {
		if wanted(place.Group) {
			delete(m.keys, place)
		}
	}
}

// step makes one call of some operations.
func (m *timersModel) step() {
	var to teller = m.store
	prefix := ""
	if m.random.IntN(2) == 0 {
		to, prefix = m.scope, "acme:"
	}
	m.focus = kv.Key{Group: fmt.Sprint("g", m.random.IntN(3)), Key: fmt.Sprint("k", m.random.IntN(4))}
	fails := m.random.IntN(12) == 0 && m.faults != nil
	if fails {
		m.faults.Plan("writer.commit", 1)
	}
	kept := m.copy()
	var err error
	missing := false
	if in := m.random.IntN(3); in < 2 {
		batch := new(api.Batch)
		for range 1 + m.random.IntN(3)*in {
			o := m.operation(prefix)
			m.met[o.name]++
			o.batch(batch)
			if missing = missing || o.missing; !missing {
				o.apply()
			}
		}
		_, err = to.Batch(batch)
	} else {
		// The model's operations are chosen once, though the function might run again.
		err = to.Transaction(func(tx *api.Transaction) error {
			for range 1 + m.random.IntN(4) {
				o := m.operation(prefix)
				m.met["tx "+o.name]++
				if err := o.tx(tx); err != nil {
					missing = o.missing
					return err
				}
				o.apply()
			}
			return nil
		})
	}
	switch {
	case fails && errors.Is(err, api.RolledBackError):
		m.keys, m.sent = kept.keys, kept.sent
		m.met["rolled back"]++
	case missing:
		require.ErrorIs(m.t, err, api.NotFoundError)
		m.keys, m.sent = kept.keys, kept.sent
	default:
		require.NoError(m.t, err)
	}
	if m.faults != nil {
		m.faults.Plan("writer.commit", 0)
	}
}

func (m *timersModel) copy() (c timersModel) {
	c.keys, c.sent = make(map[kv.Key]timed), make(map[string][]string)
	for place, key := range m.keys {
		c.keys[place] = key
	}
	for address, sent := range m.sent {
		c.sent[address] = slices.Clone(sent)
	}
	return c
}

// compare looks at every row of the store.
func (m *timersModel) compare() {
	m.expire()
	if m.random.IntN(2) == 0 {
		_, err := m.scope.PurgeExpired()
		require.NoError(m.t, err)
	}
	_, err := m.store.PurgeExpired()
	require.NoError(m.t, err)
	want := make(map[string][]string)
	for place, key := range m.keys {
		want["keys"] = append(want["keys"], fmt.Sprintf("%s/%s=%s@%d", place.Group, place.Key, key.value, key.deadline))
		if key.address != "" {
			want["timers"] = append(want["timers"], fmt.Sprintf("%s/%s=%s", place.Group, kv.TimerKey(key.deadline, place.Key), key.address))
		}
	}
	for address, sent := range m.sent {
		want["to "+address] = slices.Clone(sent)
	}
	got := make(map[string][]string)
	for entry, err := range m.store.Scan(api.ScanOptions{}) {
		require.NoError(m.t, err)
		if group, ok := strings.CutPrefix(entry.Group, kv.TimersPrefix); ok {
			got["timers"] = append(got["timers"], fmt.Sprintf("%s/%s=%s", group, entry.Key, entry.Value))
		} else if address, ok := strings.CutPrefix(entry.Group, kv.OutboxPrefix); ok {
			message, err := kv.DecodeMessage(entry.Value)
			require.NoError(m.t, err)
			e := message.Expired
			require.NotNil(m.t, e)
			got["to "+address] = append(got["to "+address], fmt.Sprintf("%s/%s=%s@%d", e.Group, e.Key, e.Value, e.ExpiresAt))
		} else {
			deadline := kv.NoDeadline
			if !entry.ExpiresAt.IsZero() {
				deadline = entry.ExpiresAt.UnixMilli()
			}
			got["keys"] = append(got["keys"], fmt.Sprintf("%s/%s=%s@%d", entry.Group, entry.Key, entry.Value, deadline))
		}
	}
	for _, all := range []map[string][]string{want, got} {
		for _, rows := range all {
			slices.Sort(rows)
		}
	}
	require.Equal(m.t, want, got)
}

// TestTimersAgainstAModel: whatever becomes of keys with timers, on whatever handle, in
// batches and transactions, refused and rolled back ones too, across restarts and time
// that passes meanwhile: there are exactly the timers of the keys that are there, and
// exactly one message for each key that has expired with one.
func TestTimersAgainstAModel(t *testing.T) {
	forEachPath(t, func(t *testing.T, path string) {
		for seed := range uint64(6) {
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { runTimersModel(t, path, seed) })
		}
	})
}

func runTimersModel(t *testing.T, path string, seed uint64) {
	if path != ":memory:" {
		path = newPath(t)
	}
	m := &timersModel{t: t, random: rand.New(rand.NewPCG(seed, 12)), clock: testkit.NewClock(), faults: testkit.NewFaults(),
		keys: make(map[kv.Key]timed), sent: make(map[string][]string), met: make(map[string]int)}
	open := func() {
		m.store = openStore(t, path, api.WithClock(m.clock), api.WithDurability(api.DurabilityBuffered),
			api.WithPurgeInterval(time.Hour), withFailpoint(m.faults.Hook))
		m.scope = newScope(t, m.store, "acme", api.QuotaConfig{MaxKeys: 100, MaxGroups: 50})
	}
	open()
	for range 400 {
		m.step()
		if m.random.IntN(3) == 0 {
			m.clock.Advance(time.Duration(m.random.IntN(900)) * time.Millisecond)
		}
		if m.random.IntN(6) == 0 {
			m.compare()
		}
		if path != ":memory:" && m.random.IntN(60) == 0 {
			require.NoError(t, m.store.Close())
			m.clock.Advance(time.Duration(m.random.IntN(3000)) * time.Millisecond)
			open()
			m.met["restart"]++
		}
	}
	m.compare()
	m.clock.Advance(time.Hour)
	m.compare()
	timers, err := m.store.CountAll(kv.TimersPrefix)
	require.NoError(t, err)
	require.Zero(t, timers)
	require.Greater(t, m.met["expired with a timer"], 10, "%v", m.met)
	require.Greater(t, m.met["rolled back"], 3, "%v", m.met)
	require.NoError(t, m.store.DeletePrefix(""))
	m.keys, m.sent = make(map[kv.Key]timed), make(map[string][]string)
	m.compare()
}

// TestTimersOfAllShortPrograms: a batch and a transaction leave what the same calls
// leave one by one, for every sequence of three calls on a key, with a timer or without.
func TestTimersOfAllShortPrograms(t *testing.T) {
	type call struct {
		name  string
		store func(s *api.Store) error
		batch func(b *api.Batch)
		tx    func(tx *api.Transaction) error
	}
	const ttl = 5 * time.Second
	notify := api.NotifyOnExpiry("a")
	calls := []call{
		{"set", func(s *api.Store) error { return s.Set("g", "k", "1") },
			func(b *api.Batch) { b.Set("g", "k", "1") }, func(tx *api.Transaction) error { return tx.Set("g", "k", "1") }},
		{"ttl", func(s *api.Store) error { return s.SetWithTTL("g", "k", "2", ttl) },
			func(b *api.Batch) { b.SetWithTTL("g", "k", "2", ttl) }, func(tx *api.Transaction) error { return tx.SetWithTTL("g", "k", "2", ttl) }},
		{"timer", func(s *api.Store) error { return s.SetWithTTL("g", "k", "3", ttl, notify) },
			func(b *api.Batch) { b.SetWithTTL("g", "k", "3", ttl, notify) }, func(tx *api.Transaction) error { return tx.SetWithTTL("g", "k", "3", ttl, notify) }},
		{"past", func(s *api.Store) error { return s.SetWithTTL("g", "k", "4", -ttl, notify) },
			func(b *api.Batch) { b.SetWithTTL("g", "k", "4", -ttl, notify) }, func(tx *api.Transaction) error { return tx.SetWithTTL("g", "k", "4", -ttl, notify) }},
		{"touch", func(s *api.Store) error { return s.Touch("g", "k", 2*ttl) },
			func(b *api.Batch) { b.Touch("g", "k", 2*ttl) }, func(tx *api.Transaction) error { return tx.Touch("g", "k", 2*ttl) }},
		{"end", func(s *api.Store) error { return s.Touch("g", "k", 0) },
			func(b *api.Batch) { b.Touch("g", "k", 0) }, func(tx *api.Transaction) error { return tx.Touch("g", "k", 0) }},
		{"persist", func(s *api.Store) error { return s.Persist("g", "k") },
			func(b *api.Batch) { b.Persist("g", "k") }, func(tx *api.Transaction) error { return tx.Persist("g", "k") }},
		{"increment", func(s *api.Store) error { _, err := s.Increment("g", "k", 5); return err },
			func(b *api.Batch) { b.Increment("g", "k", 5) }, func(tx *api.Transaction) error { _, err := tx.Increment("g", "k", 5); return err }},
		{"delete", func(s *api.Store) error { return s.Delete("g", "k") },
			func(b *api.Batch) { b.Delete("g", "k") }, func(tx *api.Transaction) error { return tx.Delete("g", "k") }},
		{"delete group", func(s *api.Store) error { return s.DeleteGroup("g") },
			func(b *api.Batch) { b.DeleteGroup("g") }, func(tx *api.Transaction) error { return tx.DeleteGroup("g") }},
	}
	clock := testkit.NewClock()
	var stores [3]*api.Store
	for i := range stores {
		stores[i] = openStore(t, ":memory:", api.WithClock(clock), api.WithPurgeInterval(time.Hour))
	}
	rows := func(s *api.Store) (rows []string) {
		_, err := s.PurgeExpired()
		require.NoError(t, err)
		for entry, err := range s.Scan(api.ScanOptions{}) {
			require.NoError(t, err)
			key := entry.Key
			if strings.HasPrefix(entry.Group, kv.OutboxPrefix) {
				key = "" // it holds the revision
			}
			rows = append(rows, fmt.Sprintf("%q/%q=%q until %v", entry.Group, key, entry.Value, entry.ExpiresAt))
		}
		slices.Sort(rows)
		return rows
	}
	for _, timer := range []bool{false, true} {
		for program := range len(calls) * len(calls) * len(calls) {
			steps := []call{calls[program%len(calls)], calls[program/len(calls)%len(calls)], calls[program/len(calls)/len(calls)]}
			name := fmt.Sprint(timer, " ", steps[0].name, ", ", steps[1].name, ", ", steps[2].name)
			for _, s := range stores {
				require.NoError(t, s.DeletePrefix(""))
				if timer {
					require.NoError(t, s.SetWithTTL("g", "k", "0", ttl, notify))
				}
			}
			batch, refused := new(api.Batch), false
			for _, step := range steps {
				step.batch(batch)
				err := step.store(stores[0])
				refused = refused || err != nil
			}
			if refused { // together they are refused
				continue
			}
			_, err := stores[1].Batch(batch)
			require.NoError(t, err, name)
			require.NoError(t, stores[2].Transaction(func(tx *api.Transaction) error {
				for _, step := range steps {
					if err := step.tx(tx); err != nil {
						return err
					}
				}
				return nil
			}), name)
			want := rows(stores[0])
			require.Equal(t, want, rows(stores[1]), "batch: %s", name)
			require.Equal(t, want, rows(stores[2]), "transaction: %s", name)
		}
	}
}

// TestTimersOfOtherCalls: those that the model has no word for.
func TestTimersOfOtherCalls(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithPurgeInterval(time.Hour))
		timers := func() (all []string) {
			for entry, err := range store.Scan(api.ScanOptions{Groups: api.Prefix(kv.TimersPrefix)}) {
				require.NoError(t, err)
				all = append(all, entry.Value)
			}
			return all
		}
		arm := func() {
			require.NoError(t, store.SetWithTTL("g", "k", "v", time.Minute, api.NotifyOnExpiry("a")))
			require.Equal(t, []string{"a"}, timers())
		}
		for name, ends := range map[string]func() error{
			"SetAll":           func() error { return store.SetAll([]api.Item{{Group: "g", Key: "k", Value: "w"}}) },
			"CompareAndSet":    func() error { _, err := store.CompareAndSet("g", "k", "w", api.AnyRevision); return err },
			"CompareAndDelete": func() error { return store.CompareAndDelete("g", "k", api.AnyRevision) },
			"SetUntil another moment": func() error {
				_, err := store.Batch(new(api.Batch).SetUntil("g", "k", "w", clock.Now().Add(time.Hour)))
				return err
			},
			"the timers' own group": func() error { return store.DeleteGroup(kv.TimersPrefix + "g") },
			"everything":            func() error { return store.DeletePrefix("") },
		} {
			arm()
			require.NoError(t, ends(), name)
			require.Empty(t, timers(), name)
		}
		arm()
		_, err := store.SetIfAbsent("g", "k", "w")
		var mismatch *api.RevisionMismatchError
		require.ErrorAs(t, err, &mismatch)
		require.Equal(t, []string{"a"}, timers(), "what is refused ends nothing")
		clock.Advance(time.Minute)
		_, err = store.SetIfAbsent("g", "k", "w")
		require.NoError(t, err)
		require.Empty(t, timers())
		require.Len(t, outboxOf(t, store, "a"), 1, "it has met the dead key")
	})
}

// TestTimersComeWithAnExport: rows in the order of their groups, timers first, as an
// export has them, make the same store; and once more over it.
func TestTimersComeWithAnExport(t *testing.T) {
	clock := testkit.NewClock()
	from, to := openStore(t, ":memory:", api.WithClock(clock)), openStore(t, ":memory:", api.WithClock(clock))
	require.NoError(t, from.SetWithTTL("g", "k", "v", time.Minute, api.NotifyOnExpiry("a")))
	require.NoError(t, from.SetWithTTL("g", "l", "w", time.Hour, api.NotifyOnExpiry("a")))
	require.NoError(t, from.Tell("a", "m"))
	for range 2 {
		for entry, err := range from.Scan(api.ScanOptions{}) {
			require.NoError(t, err)
			_, err = to.Batch(new(api.Batch).SetUntil(entry.Group, entry.Key, entry.Value, entry.ExpiresAt))
			require.NoError(t, err)
		}
	}
	clock.Advance(time.Minute)
	_, err := to.PurgeExpired()
	require.NoError(t, err)
	messages := outboxOf(t, to, "a")
	require.Len(t, messages, 2)
	require.Equal(t, "m", messages[0].Payload)
	require.Equal(t, "k", messages[1].Expired.Key)
	requireCount(t, to, kv.TimersPrefix, 1)
}

// TestTimersUnderQuotaPressure: a dead key that gives its place away is told of.
func TestTimersUnderQuotaPressure(t *testing.T) {
	clock := testkit.NewClock()
	store := openStore(t, ":memory:", api.WithClock(clock), api.WithPurgeInterval(time.Hour))
	scope := newScope(t, store, "acme", api.QuotaConfig{MaxKeys: 1})
	require.NoError(t, scope.SetWithTTL("g", "k", "v", time.Minute, api.NotifyOnExpiry("a")))
	require.ErrorIs(t, scope.Set("g", "l", "w"), api.QuotaExceededError)
	clock.Advance(time.Minute)
	require.NoError(t, scope.Set("g", "l", "w"))
	messages := outboxOf(t, store, "acme:a")
	require.Len(t, messages, 1)
	require.Equal(t, &kv.Expired{Group: "acme:g", Key: "k", Value: "v", ExpiresAt: clock.Now().UnixMilli()}, messages[0].Expired)
	usage, err := scope.Usage()
	require.NoError(t, err)
	require.Equal(t, api.Usage{Keys: 1, Groups: 1}, usage, "neither timers nor messages count")
}

func TestNotifyOnExpiryRefusesAddresses(t *testing.T) {
	store := openStore(t, ":memory:")
	for where, s := range map[string]teller{"store": store, "scope": newScope(t, store, "acme")} {
		for _, address := range []string{"", "\x00a", strings.Repeat("x", 1025)} {
			notify := api.NotifyOnExpiry(address)
			require.ErrorIs(t, s.SetWithTTL("g", "k", "v", time.Minute, notify), api.InvalidAddressError, where)
			_, err := s.Batch(new(api.Batch).SetWithTTL("g", "k", "v", time.Minute, notify))
			require.ErrorIs(t, err, api.InvalidAddressError, where)
			require.ErrorIs(t, s.Transaction(func(tx *api.Transaction) error {
				return tx.SetWithTTL("g", "k", "v", time.Minute, notify)
			}), api.InvalidAddressError, where)
		}
	}
	requireCount(t, store, "", 0)
}

// FuzzDecodeMessage: rows of the outbox may be written by any program.
func FuzzDecodeMessage(f *testing.F) {
	f.Add((&kv.Message{Payload: "p"}).Encode())
	f.Add((&kv.Message{Expired: &kv.Expired{Group: "g", Key: "k", Value: "v", ExpiresAt: -1, Omitted: true}}).Encode())
	f.Add((&kv.Dead{Message: "m1", Reason: "r", Attempts: 3, At: 1}).Encode())
	f.Add("x1\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
	f.Fuzz(func(t *testing.T, row string) {
		if message, err := kv.DecodeMessage(row); err == nil {
			again, err := kv.DecodeMessage(message.Encode())
			require.NoError(t, err)
			require.Equal(t, message, again)
		}
		if dead, err := kv.DecodeDead(row); err == nil {
			again, err := kv.DecodeDead(dead.Encode())
			require.NoError(t, err)
			require.Equal(t, dead, again)
		}
	})
}
