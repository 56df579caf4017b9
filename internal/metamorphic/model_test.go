package metamorphic

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

const never = int64(1<<63 - 1)

// row is one stored key, under its full group name. It takes space until an operation
// removes it, dead or alive.
type row struct {
	group, key, value string
	deadline          int64 // Unix milliseconds
	revision          uint64
}

func (r row) live(now int64) bool { return r.deadline > now }

func (r row) expiresAt() time.Time {
	if r.deadline == never {
		return time.Time{}
	}
	return time.UnixMilli(r.deadline)
}

func compareRows(a, b row) int {
	if c := strings.Compare(a.group, b.group); c != 0 {
		return c
	}
	return strings.Compare(a.key, b.key)
}

// model is what a store must hold, and everything that it has done.
type model struct {
	rows     []row // by group and key
	now      int64 // the store's time, Unix milliseconds
	revision uint64
	events   []api.Event // of all revisions, oldest first
	limits   api.SizeLimits
}

// clone shares what is only ever appended to.
func (m *model) clone() *model {
	c := *m
	c.rows, c.events = slices.Clone(m.rows), slices.Clip(m.events)
	return &c
}

func (m *model) find(group, key string) (at int, found bool) {
	return slices.BinarySearchFunc(m.rows, row{group: group, key: key}, compareRows)
}

func (m *model) dead(groupPrefix string) (rows []row) {
	for _, r := range m.rows {
		if !r.live(m.now) && strings.HasPrefix(r.group, groupPrefix) {
			rows = append(rows, r)
		}
	}
	return rows
}

// write is one change, by the name of the call that makes it.
type write struct {
	Call       string // Set, SetWithTTL, SetUntil, Delete, DeleteGroup, DeletePrefix, Touch, Persist, Increment
	Group, Key string
	Value      string
	TTL        time.Duration // SetWithTTL, Touch; SetUntil: from the clock's present
	Delta      int64         // Increment
}

type condition struct {
	Group, Key string
	Revision   uint64
}

// request is what a call asks for, whole or not at all. Its groups are full names.
type request struct {
	writes     []write
	conditions []condition
	namespace  string
	quota      api.QuotaConfig
}

// answer is what comes of it.
type answer struct {
	revision uint64
	number   int64
	err      error
}

// attempt is a request being applied.
type attempt struct {
	*model
	request
	events []api.Event
	// Which of several rows that expired at the same moment makes room is not said.
	// The first of them, unless a read has seen another one go.
	tie  bool
	seen map[place][]int // when, from 1 on
}

// apply is the answer to a request, and what the store holds then. tie: another
// choice of what to remove is as good.
func (m *model) apply(r request, seen map[place][]int) (next *model, a answer, tie bool) {
	t := &attempt{model: m.clone(), request: r, seen: seen}
	if a.err = m.checkLimits(r); a.err == nil {
		a.err = t.check()
	}
	for i := 0; a.err == nil && i < len(r.writes); i++ {
		a.number, a.err = t.operate(r.writes[i])
	}
	if a.err != nil {
		return m, answer{err: a.err}, t.tie
	}
	if len(t.events) > 0 {
		t.model.revision++
		a.revision = t.model.revision
		t.model.events = append(t.model.events, t.events...)
	}
	return t.model, a, t.tie
}

func (m *model) checkLimits(r request) error {
	for _, w := range r.writes {
		switch w.Call {
		case "Set", "SetWithTTL", "SetUntil", "Increment":
			if len(w.Group) > m.limits.Group || len(w.Key) > m.limits.Key || len(w.Value) > m.limits.Value {
				return api.TooLargeError
			}
		}
	}
	return nil
}

func (t *attempt) check() error {
	for _, c := range t.conditions {
		t.expireKey(c.Group, c.Key)
		current := uint64(0)
		if at, found := t.find(c.Group, c.Key); found && t.rows[at].live(t.now) {
			current = t.rows[at].revision
		}
		if current != c.Revision && (c.Revision != api.AnyRevision || current == 0) {
			return &api.RevisionMismatchError{Group: c.Group, Key: c.Key, Expected: c.Revision, Current: current}
		}
	}
	return nil
}

func (t *attempt) operate(w write) (number int64, err error) {
	switch w.Call {
	case "Set", "SetWithTTL", "SetUntil":
		t.expireKey(w.Group, w.Key)
		return 0, t.put(row{group: w.Group, key: w.Key, value: w.Value, deadline: t.deadline(w)})
	case "Delete":
		t.expireKey(w.Group, w.Key)
		if at, found := t.find(w.Group, w.Key); found {
			t.rows = slices.Delete(t.rows, at, at+1)
			t.emit(api.Event{Type: api.EventDelete, Group: w.Group, Key: w.Key})
		}
	case "DeleteGroup":
		t.deleteGroups(func(group string) bool { return group == w.Group })
	case "DeletePrefix":
		t.deleteGroups(func(group string) bool { return strings.HasPrefix(group, w.Group) })
	case "Touch", "Persist":
		at, found := t.find(w.Group, w.Key)
		if !found || !t.rows[at].live(t.now) {
			return 0, api.NotFoundError
		}
		if deadline := t.deadline(w); deadline != t.rows[at].deadline {
			touched := t.rows[at]
			touched.deadline = deadline
			return 0, t.put(touched)
		}
	case "Increment":
		return t.increment(w)
	default:
		panic("no such write: " + w.Call)
	}
	return 0, nil
}

func (t *attempt) increment(w write) (int64, error) {
	r := row{group: w.Group, key: w.Key, deadline: never}
	t.expireKey(w.Group, w.Key)
	if at, found := t.find(w.Group, w.Key); found {
		r = t.rows[at]
	}
	sum, err := add(r, w.Delta)
	if err != nil {
		return 0, err
	}
	r.value = strconv.FormatInt(sum, 10)
	return sum, t.put(r)
}

// add is the sum of a key's number, 0 if it has no value yet and no revision, and
// of delta.
func add(r row, delta int64) (int64, error) {
	number := int64(0)
	if r.revision != 0 || r.value != "" {
		var err error
		number, err = strconv.ParseInt(r.value, 10, 64)
		if err != nil || strconv.FormatInt(number, 10) != r.value {
			return 0, api.NotANumberError
		}
	}
	sum := number + delta
	if delta > 0 && sum < number || delta < 0 && sum > number {
		return 0, api.NotANumberError
	}
	return sum, nil
}

func (t *attempt) deadline(w write) int64 {
	switch w.Call {
	case "SetWithTTL", "Touch", "SetUntil":
		return time.UnixMilli(t.now).Add(w.TTL).UnixMilli()
	default:
		return never
	}
}

// put writes a row; a new one needs room.
func (t *attempt) put(r row) error {
	r.revision = t.revision + 1
	if _, found := t.find(r.group, r.key); !found && t.quota != (api.QuotaConfig{}) {
		if err := t.makeRoom(r.group); err != nil {
			return err
		}
	}
	at, found := t.find(r.group, r.key)
	if found {
		t.rows[at] = r
	} else {
		t.rows = slices.Insert(t.rows, at, r)
	}
	t.emit(api.Event{Type: api.EventSet, Group: r.group, Key: r.key, Value: r.value, ExpiresAt: r.expiresAt()})
	return nil
}

// makeRoom removes the namespace's expired rows, the oldest first, until the quota
// allows for one key more.
func (t *attempt) makeRoom(group string) error {
	for {
		keys, groups, live := 0, map[string]bool{}, false
		for _, r := range t.rows {
			if strings.HasPrefix(r.group, t.namespace+":") {
				keys++
				groups[r.group] = true
				live = live || r.group == group && r.live(t.now)
			}
		}
		delete(groups, group)
		if (t.quota.MaxKeys == 0 || keys < t.quota.MaxKeys) &&
			(t.quota.MaxGroups == 0 || live || len(groups) < t.quota.MaxGroups) {
			return nil
		}
		if !t.reclaim() {
			return api.QuotaExceededError
		}
	}
}

func (t *attempt) reclaim() bool {
	dead := t.dead(t.namespace + ":")
	if len(dead) == 0 {
		return false
	}
	slices.SortStableFunc(dead, func(a, b row) int { return cmp.Compare(a.deadline, b.deadline) })
	choice := dead[0]
	for _, other := range dead[1:] {
		if other.deadline == dead[0].deadline {
			t.tie = true
			best, at := t.seenNext(choice), t.seenNext(other)
			if at > 0 && (best == 0 || at < best) {
				choice = other
			}
		}
	}
	t.expireKey(choice.group, choice.key)
	return true
}

// seenNext is when a row was seen to go, 0 if never: a request that writes what has
// expired may have it go more than once.
func (t *attempt) seenNext(r row) int {
	seen := t.seen[place{r.group, r.key}]
	for _, e := range t.events {
		if e.Type == api.EventExpire && e.Group == r.group && e.Key == r.key && len(seen) > 0 {
			seen = seen[1:]
		}
	}
	if len(seen) == 0 {
		return 0
	}
	return seen[0]
}

func (t *attempt) expireKey(group, key string) {
	if at, found := t.find(group, key); found && !t.rows[at].live(t.now) {
		t.emit(api.Event{Type: api.EventExpire, Group: group, Key: key, Value: t.rows[at].value})
		t.rows = slices.Delete(t.rows, at, at+1)
	}
}

func (t *attempt) deleteGroups(which func(group string) bool) {
	for _, r := range t.dead("") {
		if which(r.group) {
			t.expireKey(r.group, r.key)
		}
	}
	last, deleted := "", false
	for _, r := range t.rows {
		if which(r.group) && (!deleted || r.group != last) {
			last, deleted = r.group, true
			t.emit(api.Event{Type: api.EventDeleteGroup, Group: r.group})
		}
	}
	t.rows = slices.DeleteFunc(t.rows, func(r row) bool { return which(r.group) })
}

func (t *attempt) emit(e api.Event) {
	e.Revision, e.Timestamp = t.revision+1, time.UnixMilli(t.now)
	t.events = append(t.events, e)
}

// purge removes what has expired, in one request: there is never more than a chunk.
func (m *model) purge(groupPrefix string) (next *model, removed int64) {
	t := &attempt{model: m.clone()}
	for _, r := range m.dead(groupPrefix) {
		t.expireKey(r.group, r.key)
		removed++
	}
	if removed > 0 {
		t.model.revision++
		t.model.events = append(t.model.events, t.events...)
	}
	return t.model, removed
}

// usage is what lives in a namespace.
func (m *model) usage(namespace string) (u api.Usage) {
	last := ""
	for _, r := range m.rows {
		if strings.HasPrefix(r.group, namespace+":") && r.live(m.now) {
			if u.Keys++; last != r.group {
				u.Groups++
				last = r.group
			}
		}
	}
	return u
}

// since are the events from a revision on.
func (m *model) since(revision uint64) []api.Event {
	at, _ := slices.BinarySearchFunc(m.events, revision, func(e api.Event, r uint64) int { return cmp.Compare(e.Revision, r) })
	return m.events[at:]
}

// sameError compares what a call returned with what it should have.
func sameError(got, want error) error {
	var mismatch, wanted *api.RevisionMismatchError
	switch {
	case errors.As(want, &wanted):
		if !errors.As(got, &mismatch) || *mismatch != *wanted {
			return fmt.Errorf("the error is %w, not: %w", got, want)
		}
	case want == nil && got != nil:
		return failedError{got}
	case got != nil && !errors.Is(got, want):
		return fmt.Errorf("%w, and should have with: %w", failedError{got}, want)
	case !errors.Is(got, want):
		return fmt.Errorf("it did not fail, and should have with: %w", want)
	}
	return nil
}

// failedError is a call that failed otherwise than it should.
type failedError struct{ error }

func (e failedError) Error() string { return "it failed: " + e.error.Error() }
func (e failedError) Unwrap() error { return e.error }

// sameEvents compares events in their order. In which order a request removes what
// has expired is not said.
func sameEvents(got, want []api.Event) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d events, not %d:\n got %s\nwant %s", len(got), len(want), list(got), list(want))
	}
	got, want = expiriesInOrder(got), expiriesInOrder(want)
	for i := range got {
		if !sameEvent(got[i], want[i]) {
			return fmt.Errorf("event %d is %s, not %s:\n got %s\nwant %s",
				i, list(got[i:i+1]), list(want[i:i+1]), list(got), list(want))
		}
	}
	return nil
}

func sameEvent(a, b api.Event) bool {
	return a.Type == b.Type && a.Group == b.Group && a.Key == b.Key && a.Value == b.Value && a.Revision == b.Revision &&
		a.Timestamp.Equal(b.Timestamp) && a.ExpiresAt.Equal(b.ExpiresAt)
}

func expiriesInOrder(events []api.Event) []api.Event {
	isExpiry := func(e api.Event) bool { return e.Type == api.EventExpire }
	if !slices.ContainsFunc(events, isExpiry) {
		return events
	}
	events = slices.Clone(events)
	for from := 0; from < len(events); from++ {
		to := from
		for to < len(events) && isExpiry(events[to]) && events[to].Revision == events[from].Revision {
			to++
		}
		slices.SortFunc(events[from:to], func(a, b api.Event) int {
			return compareRows(row{group: a.Group, key: a.Key}, row{group: b.Group, key: b.Key})
		})
		from = max(from, to-1)
	}
	return events
}

func list(events []api.Event) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "[%d %v %q %q %.20q %d %d]", e.Revision, e.Type, e.Group, e.Key, e.Value, e.Timestamp.UnixMilli(), e.ExpiresAt.UnixMilli())
	}
	return b.String()
}
