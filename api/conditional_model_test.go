package api_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// revisionModel is what one goroutine knows of the keys of its own group.
type revisionModel struct {
	store  conditional
	clock  *testkit.Clock
	group  string
	random *rand.Rand
	keys   map[string]api.Entry // live or dead
	last   uint64               // the highest revision that it has seen
	met    []string             // outcomes
}

func (m *revisionModel) live(key string) (entry api.Entry, found bool) {
	entry, found = m.keys[key]
	if found && !entry.ExpiresAt.IsZero() && !entry.ExpiresAt.After(m.clock.Now()) {
		return api.Entry{}, false
	}
	return entry, found
}

// step makes one call and compares what came of it, and what the key is then,
// with what it knew.
func (m *revisionModel) step() error {
	key := fmt.Sprint("key ", m.random.IntN(4))
	current, found := m.live(key)
	expected := current.Revision
	if m.random.IntN(3) == 0 {
		expected = uint64(m.random.IntN(int(m.last) + 2)) // mostly wrong
	}
	want := current // the entry afterwards; its revision is looked up
	value := strconv.Itoa(m.random.IntN(1000))
	ttl := time.Duration(1+m.random.IntN(3000)) * time.Millisecond
	var name string
	var err, wanted error
	changed, revision := true, uint64(0)
	wrong := &api.RevisionMismatchError{Expected: expected, Current: current.Revision}
	switch m.random.IntN(7) {
	case 0:
		name = "set if absent"
		want.Value, want.ExpiresAt = value, time.Time{}
		revision, err = m.store.SetIfAbsent(m.group, key, value)
		if wrong.Expected = 0; found {
			wanted = wrong
		}
	case 1:
		name = "compare and set"
		want.Value, want.ExpiresAt = value, time.Time{}
		revision, err = m.store.CompareAndSet(m.group, key, value, expected)
		if expected != current.Revision {
			wanted = wrong
		}
	case 2:
		name, want = "compare and delete", api.Entry{}
		err = m.store.CompareAndDelete(m.group, key, expected)
		if expected != current.Revision {
			wanted = wrong
		}
	case 3:
		name, want.ExpiresAt = "touch", m.clock.Now().Add(ttl).Truncate(time.Millisecond)
		err = m.store.Touch(m.group, key, ttl)
		if changed = !want.ExpiresAt.Equal(current.ExpiresAt); !found {
			wanted = api.NotFoundError
		}
	case 4:
		name, want.ExpiresAt = "persist", time.Time{}
		err = m.store.Persist(m.group, key)
		if changed = !current.ExpiresAt.IsZero(); !found {
			wanted = api.NotFoundError
		}
	case 5:
		name = "increment"
		number, _ := strconv.Atoi(current.Value)
		want.Value = strconv.Itoa(number + 7)
		var sum int64
		if sum, err = m.store.Increment(m.group, key, 7); err == nil && sum != int64(number)+7 {
			return fmt.Errorf("increment made %d of %d", sum, number)
		}
	case 6:
		name = "batch"
		want.Value, want.ExpiresAt = value, m.clock.Now().Add(ttl).Truncate(time.Millisecond)
		revision, err = m.store.Batch(new(api.Batch).IfRevision(m.group, key, expected).
			Set(m.group, key, "overwritten").SetWithTTL(m.group, key, value, ttl))
		if expected != current.Revision {
			wanted = wrong
		}
	}
	if err := sameRefusal(err, wanted); err != nil {
		return fmt.Errorf("%s of %q, which is %+v: %w", name, key, current, err)
	}
	m.met = append(m.met, fmt.Sprint(name, wanted == nil))
	if wanted != nil {
		want, changed = current, false
	}
	return m.compare(name, key, want, changed, revision)
}

func sameRefusal(err, wanted error) error {
	var got, want *api.RevisionMismatchError
	if errors.As(wanted, &want) {
		if !errors.As(err, &got) || got.Current != want.Current || got.Expected != want.Expected {
			return fmt.Errorf("%w, not %w", err, wanted)
		}
		return nil
	}
	if !errors.Is(err, wanted) {
		return fmt.Errorf("%w, not %w", err, wanted)
	}
	return nil
}

// compare looks the key up. What the call changed has a new revision, and that
// is the one that the call returned, if it did.
func (m *revisionModel) compare(name, key string, want api.Entry, changed bool, revision uint64) error {
	entry, err := m.store.Entry(m.group, key)
	if want.Value == "" { // absent: no value is empty here
		if !errors.Is(err, api.NotFoundError) {
			return fmt.Errorf("after %s %q is %+v, %w", name, key, entry, err)
		}
		delete(m.keys, key)
		return nil
	}
	switch {
	case err != nil:
		return err
	case entry.Value != want.Value || !entry.ExpiresAt.Equal(want.ExpiresAt):
		return fmt.Errorf("after %s %q is %+v, not %+v", name, key, entry, want)
	case changed && entry.Revision <= m.last, !changed && entry.Revision != want.Revision:
		return fmt.Errorf("after %s %q has revision %d; before, %d; changed: %v", name, key, entry.Revision, m.last, changed)
	case revision != 0 && revision != entry.Revision:
		return fmt.Errorf("%s returned %d, and %q has %d", name, revision, key, entry.Revision)
	}
	m.last = max(m.last, entry.Revision)
	m.keys[key] = entry
	return nil
}
