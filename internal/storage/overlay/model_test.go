package overlay

import (
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"slices"
	"testing"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// rows is a base, or what a store holds: the model.
type rows map[kv.Key]kv.Row

func (r rows) removeGroup(group string) {
	maps.DeleteFunc(r, func(p kv.Key, _ kv.Row) bool { return p.Group == group })
}

// within is the rows of a walk, in its order.
func (r rows) within(b Bounds, reverse bool) (found []kv.Row) {
	for p, row := range r {
		if kv.Key.Compare(p, b.From) >= 0 && (b.Unbounded || kv.Key.Compare(p, b.To) < 0) {
			found = append(found, row)
		}
	}
	slices.SortFunc(found, func(a, b kv.Row) int { return compare(&a, &b) })
	if reverse {
		slices.Reverse(found)
	}
	return found
}

func (r rows) usage(in kv.Range, now int64) (u kv.Usage) {
	groups := make(map[string]bool)
	for p, row := range r {
		if in.Contains(p.Group) && row.Live(now) {
			u.Keys++
			groups[p.Group] = true
		}
	}
	u.Groups = int64(len(groups))
	return u
}

func (r rows) Deadline(group, key string) (int64, bool, error) {
	row, found := r[kv.Key{Group: group, Key: key}]
	return row.Deadline, found, nil
}

func (r rows) Live(group string, now, limit int64) (int64, error) {
	return min(r.usage(kv.GroupRange(group), now).Keys, limit), nil
}

// source gives rows. It passes over groups as it likes.
type source struct {
	rows   []kv.Row
	passes bool
	asked  int
}

func (s *source) Next() (row kv.Row, ok bool, err error) {
	if len(s.rows) == 0 {
		return row, false, nil
	}
	s.asked++
	row, s.rows = s.rows[0], s.rows[1:]
	return row, true, nil
}

func (s *source) Pass(group string) {
	for s.passes && len(s.rows) > 0 && s.rows[0].Group == group {
		s.rows = s.rows[1:]
	}
}

// snapshot is a state that was pinned, and what it has to show.
type snapshot struct {
	state  *State
	base   rows
	folded Cursor
	want   rows
}

// machine plays a store over an overlay: the base, what was committed, and what the writer
// has changed since.
type machine struct {
	overlay            *Overlay
	base               rows
	committed, working rows
	revision           uint64 // of the last request that was not undone
	published          uint64
	marks              []int // savepoint: one at most
	marked             rows
	markedAt           uint64
	pinned             []snapshot
	arrangement        *Arrangement // of the frozen run, until its fold begins
}

func newMachine(base rows) *machine {
	return &machine{overlay: New(1), base: base, committed: maps.Clone(base), working: maps.Clone(base), revision: 1, published: 1}
}

func (m *machine) set(row kv.Row) {
	m.revision++
	row.Revision = m.revision
	m.working[kv.Key{Group: row.Group, Key: row.Key}] = row
	m.overlay.Set(row)
}

func (m *machine) knows(group, key string) {
	below, found := m.below(group, key)
	m.overlay.Knows(group, key, below.Deadline, found)
}

// below is what lies below the active run.
func (m *machine) below(group, key string) (row kv.Row, found bool) {
	if f := m.overlay.working.frozen; f != nil {
		if row, verdict, _ := f.get(group, key, math.MaxUint64); verdict != Below {
			return row, verdict == Present
		}
	}
	row, found = m.base[kv.Key{Group: group, Key: key}]
	return row, found
}

func (m *machine) remove(group, key string) {
	m.revision++
	delete(m.working, kv.Key{Group: group, Key: key})
	m.overlay.Delete(group, key, m.revision)
}

func (m *machine) removeGroup(group string) {
	m.revision++
	m.working.removeGroup(group)
	m.overlay.DeleteGroup(group, m.revision)
}

func (m *machine) commit() {
	m.overlay.Commit(m.revision)
	m.overlay.Prune()
	m.committed, m.published, m.marks = maps.Clone(m.working), m.revision, nil
	m.retire()
}

func (m *machine) rollback() {
	m.overlay.Undo(0)
	m.working, m.revision, m.marks = maps.Clone(m.committed), m.published, nil
	m.retire()
}

func (m *machine) savepoint() {
	m.marks, m.marked, m.markedAt = []int{m.overlay.Mark()}, maps.Clone(m.working), m.revision
}

func (m *machine) undo() {
	if len(m.marks) == 1 {
		m.overlay.Undo(m.marks[0])
		m.working, m.revision, m.marks = m.marked, m.markedAt, nil
	}
}

// freeze has the run be arranged by keys, or by places that are in another order.
func (m *machine) freeze(located bool) {
	var locate func(group, key string) (Place, error)
	if located {
		locate = func(group, key string) (Place, error) {
			row, found := m.base[kv.Key{Group: group, Key: key}]
			if !found {
				return Place{Deadline: kv.NoDeadline}, nil // which is not to be looked at
			}
			return Place{At: int64(crc32.ChecksumIEEE([]byte(group + "/" + key))), Deadline: row.Deadline, Found: true}, nil
		}
	}
	frozen := m.overlay.Freeze()
	arrangement, err := frozen.Arrange(locate)
	if err != nil {
		panic(err)
	}
	m.arrangement = arrangement
}

// fold applies slices to the base; again has each be applied twice.
func (m *machine) fold(n int, again bool) {
	if m.arrangement != nil {
		m.overlay.Arranged(m.arrangement)
		m.arrangement = nil
	}
	changes, end := m.overlay.Slice(m.overlay.Progress(), n, 1<<20)
	for range 1 + map[bool]int{true: 1}[again] {
		m.apply(changes)
	}
	m.overlay.Folded(end)
	m.retire()
}

// retire lets go of a run that is folded, once no transaction is open.
func (m *machine) retire() {
	if m.overlay.Mark() == 0 && m.overlay.Frozen() && m.overlay.Progress().Run > m.overlay.working.frozen.number {
		m.overlay.Retire()
	}
}

func (m *machine) apply(changes []Change) {
	for _, c := range changes {
		switch c.Kind {
		case Put:
			m.base[kv.Key{Group: c.Row.Group, Key: c.Row.Key}] = c.Row
		case Remove:
			delete(m.base, kv.Key{Group: c.Row.Group, Key: c.Row.Key})
		case RemoveGroup:
			m.base.removeGroup(c.Row.Group)
		}
	}
}

func (m *machine) pin() {
	m.pinned = append(m.pinned, snapshot{m.overlay.Pin(), maps.Clone(m.base), m.overlay.Progress(), maps.Clone(m.committed)})
}

func (m *machine) release(i int) {
	m.pinned[i].state.Release()
	m.pinned = slices.Delete(m.pinned, i, i+1)
}

// later has a snapshot be of the base as it is now, as long as that is permitted.
func (m *machine) later(i int) {
	if s := &m.pinned[i]; !m.overlay.Overtaken(s.state) {
		s.base, s.folded = maps.Clone(m.base), m.overlay.Progress()
	}
}

// check reads a state in all ways, and compares.
func (s snapshot) check(t require.TestingT, b Bounds, reverse, passes bool, now int64) {
	from := &source{rows: s.base.within(b, reverse), passes: passes}
	merged := s.state.Merge(from, b, reverse)
	var got []kv.Row
	for {
		row, ok, err := merged.Next()
		require.NoError(t, err)
		if !ok {
			break
		}
		got = append(got, row)
	}
	require.Equal(t, s.want.within(b, reverse), got)
	for _, p := range everywhere() {
		row, verdict := s.state.Get(p.Group, p.Key)
		if verdict == Below {
			row = s.base[p]
		}
		require.Equal(t, s.want[p], row, "%v", p)
	}
	for _, r := range []kv.Range{kv.PrefixRange(""), kv.GroupRange("b"), kv.PrefixRange("b"), {From: "a", To: "b"}} {
		base := s.base.usage(r, now)
		delta, err := s.state.Delta(r, now, s.folded, s.base, true)
		require.NoError(t, err)
		require.Equal(t, s.want.usage(r, now), kv.Usage{Keys: base.Keys + delta.Keys, Groups: base.Groups + delta.Groups}, "%v", r)
		keys, err := s.state.Delta(r, now, s.folded, s.base, false)
		require.NoError(t, err)
		require.Equal(t, delta.Keys, keys.Keys)
	}
	for _, group := range groups {
		s.checkRanks(t, group, now)
	}
}

// checkRanks: by the base's live rows before a key, and its rank, those of both are known.
func (s snapshot) checkRanks(t require.TestingT, group string, now int64) {
	before := func(r rows, key string) (n int64) {
		for p, row := range r {
			if p.Group == group && p.Key < key && row.Live(now) {
				n++
			}
		}
		return n
	}
	const behindAll = "\xff"
	all, behind, ok, err := s.state.Ranks(group, now, math.MaxInt64, s.folded, s.base, func() error { return nil })
	require.NoError(t, err)
	if !ok {
		require.True(t, s.state.Hides(group))
		return
	}
	for _, r := range all {
		require.Equal(t, before(s.want, r.Key)-before(s.base, r.Key), r.Before, "%q, %q", group, r.Key)
	}
	require.Equal(t, before(s.want, behindAll)-before(s.base, behindAll), behind)
	steps := 0
	first, behind, _, err := s.state.Ranks(group, now, 0, s.folded, s.base, func() error { steps++; return nil })
	require.NoError(t, err)
	require.Equal(t, all[:len(first)], first)
	require.Len(t, first, steps)
	if n := len(first); n < len(all) {
		require.Equal(t, all[n].Before, behind)
		require.NotZero(t, before(s.want, all[n].Key))
	}
}

var (
	groups = []string{"", "a", "b", "b\x00", "ba", "c"}
	keys   = []string{"", "\x00", "k", "k\x00", "l", "m"}
)

func everywhere() (all []kv.Key) {
	for _, g := range groups {
		for _, k := range keys {
			all = append(all, kv.Key{Group: g, Key: k})
		}
	}
	return all
}

// TestOverlayAgainstTheModel plays random programs of a writer, a fold and readers.
func TestOverlayAgainstTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		group, key := rapid.SampledFrom(groups), rapid.SampledFrom(keys)
		deadline := rapid.SampledFrom([]int64{5, 10, 15, kv.NoDeadline, kv.NoDeadline})
		base := rows{}
		for _, p := range rapid.SliceOfN(rapid.SampledFrom(everywhere()), 0, 20).Draw(t, "base") {
			base[p] = kv.Row{Group: p.Group, Key: p.Key, Value: "base", Deadline: deadline.Draw(t, "deadline"), Revision: 1}
		}
		m := newMachine(base)
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				row := kv.Row{Group: group.Draw(t, "group"), Key: key.Draw(t, "key"), Deadline: deadline.Draw(t, "deadline")}
				row.Value = fmt.Sprint(m.revision)
				m.set(row)
				if rapid.Bool().Draw(t, "knows") {
					m.knows(row.Group, row.Key)
				}
			},
			"delete":       func(t *rapid.T) { m.remove(group.Draw(t, "group"), key.Draw(t, "key")) },
			"delete group": func(t *rapid.T) { m.removeGroup(group.Draw(t, "group")) },
			"commit":       func(*rapid.T) { m.commit() },
			"rollback":     func(*rapid.T) { m.rollback() },
			"savepoint":    func(*rapid.T) { m.savepoint() },
			"undo":         func(*rapid.T) { m.undo() },
			"freeze": func(t *rapid.T) {
				if m.overlay.Mark() == 0 && !m.overlay.Frozen() {
					m.freeze(rapid.Bool().Draw(t, "located"))
				}
			},
			"fold": func(t *rapid.T) { m.fold(rapid.IntRange(1, 5).Draw(t, "changes"), rapid.Bool().Draw(t, "again")) },
			"pin":  func(*rapid.T) { m.pin() },
			"release": func(t *rapid.T) {
				if len(m.pinned) > 0 {
					m.release(rapid.IntRange(0, len(m.pinned)-1).Draw(t, "pinned"))
				}
			},
			"later base": func(t *rapid.T) {
				if len(m.pinned) > 0 {
					m.later(rapid.IntRange(0, len(m.pinned)-1).Draw(t, "pinned"))
				}
			},
			"": func(t *rapid.T) { checkMachine(t, m, drawBounds(t), rapid.Bool().Draw(t, "reverse")) },
		})
	})
}

// TestEveryStepOfAFold: what a state shows is the same before and after each change that the
// base makes, whatever the runs say and in whichever order it is folded.
func TestEveryStepOfAFold(t *testing.T) {
	const now = 10
	rapid.Check(t, func(t *rapid.T) {
		group, key := rapid.SampledFrom(groups[1:4]), rapid.SampledFrom(keys[:4])
		base := rows{}
		for _, p := range everywhere() {
			if rapid.Bool().Draw(t, "in the base") {
				base[p] = kv.Row{Group: p.Group, Key: p.Key, Value: "base", Deadline: rapid.SampledFrom([]int64{5, 15}).Draw(t, "deadline"), Revision: 1}
			}
		}
		m := newMachine(base)
		write := func(n int) {
			for range n {
				switch rapid.IntRange(0, 5).Draw(t, "write") {
				case 0:
					m.removeGroup(group.Draw(t, "group"))
				case 1:
					m.remove(group.Draw(t, "group"), key.Draw(t, "key"))
				default:
					m.set(kv.Row{Group: group.Draw(t, "group"), Key: key.Draw(t, "key"), Value: fmt.Sprint(m.revision),
						Deadline: rapid.SampledFrom([]int64{5, 15, kv.NoDeadline}).Draw(t, "deadline")})
				}
			}
			m.commit()
		}
		write(rapid.IntRange(1, 12).Draw(t, "frozen"))
		m.freeze(rapid.Bool().Draw(t, "located"))
		m.pin()
		write(rapid.IntRange(0, 4).Draw(t, "active"))
		m.pin()
		for m.overlay.Frozen() {
			m.fold(1, true)
			for i := range m.pinned {
				m.later(i)
				m.pinned[i].check(t, Bounds{Unbounded: true}, false, true, now)
			}
		}
		require.Equal(t, m.committed.within(Bounds{Unbounded: true}, false), m.merged(t))
	})
}

// merged is all rows that the overlay and the base have together.
func (m *machine) merged(t require.TestingT) (got []kv.Row) {
	all := Bounds{Unbounded: true}
	s := m.overlay.Pin()
	defer s.Release()
	walk := s.Merge(&source{rows: m.base.within(all, false)}, all, false)
	for {
		row, ok, err := walk.Next()
		require.NoError(t, err)
		if !ok {
			return got
		}
		got = append(got, row)
	}
}

func drawBounds(t *rapid.T) (b Bounds) {
	ends := rapid.SampledFrom(everywhere())
	if b.From = ends.Draw(t, "from"); rapid.Bool().Draw(t, "unbounded") {
		b.Unbounded = true
		return b
	}
	if b.To = ends.Draw(t, "to"); kv.Key.Compare(b.To, b.From) < 0 {
		b.From, b.To = b.To, b.From
	}
	return b
}

func checkMachine(t require.TestingT, m *machine, b Bounds, reverse bool) {
	const now = 10
	all := Bounds{Unbounded: true}
	snapshot{m.overlay.Working(), m.base, m.overlay.Progress(), m.working}.check(t, b, reverse, true, now)
	published := m.overlay.Pin()
	snapshot{published, m.base, m.overlay.Progress(), m.committed}.check(t, b, reverse, false, now)
	published.Release()
	for _, s := range m.pinned {
		s.check(t, b, reverse, true, now)
		s.check(t, all, !reverse, false, now)
	}
	for _, p := range everywhere() {
		row, verdict := m.overlay.Get(p.Group, p.Key)
		if verdict == Below {
			row = m.base[p]
		}
		require.Equal(t, m.committed[p], row)
	}
	checkExpired(t, m, now)
	require.Equal(t, m.weight(), m.overlay.Bytes())
}

// checkExpired: what expires is what the overlay has, and what of the base it leaves.
func checkExpired(t require.TestingT, m *machine, now int64) {
	for _, after := range []int64{math.MinInt64, 5} {
		var want, got []kv.Row
		for p, row := range m.working {
			if _, verdict := m.overlay.Working().Get(p.Group, p.Key); verdict == Present && row.Deadline > after && row.Deadline <= now {
				want = append(want, row)
			}
		}
		slices.SortFunc(want, func(a, b kv.Row) int { return int(a.Deadline-b.Deadline)*10 + compare(&a, &b) })
		got = m.overlay.Expired(kv.PrefixRange(""), after, now, 100, 1<<20)
		require.Equal(t, want, got)
		require.Equal(t, len(want), m.overlay.CountDead(after, now, 100))
		require.Len(t, m.overlay.Expired(kv.PrefixRange(""), after, now, 1, 1<<20), min(1, len(want)))
	}
	earliest := kv.NoDeadline
	for p, row := range m.working {
		if _, verdict := m.overlay.Working().Get(p.Group, p.Key); verdict == Present {
			earliest = min(earliest, row.Deadline)
		}
	}
	require.Equal(t, earliest, m.overlay.Earliest())
}

// weight is what is there, counted anew.
func (m *machine) weight() (n int64) {
	for _, r := range []*run{m.overlay.working.active, m.overlay.working.frozen} {
		if r == nil {
			continue
		}
		for _, l := range []*list{&r.rows, &r.marks} {
			for c := l.first(); c != nil; c = c.follows() {
				n += c.weight()
				for v := c.newest.Load(); v != nil; v = v.before.Load() {
					n += v.weight()
				}
			}
		}
	}
	return n
}

// TestMergeEndsWithTheSourcesError, and asks no further.
func TestMergeEndsWithTheSourcesError(t *testing.T) {
	m := newMachine(rows{})
	m.set(kv.Row{Group: "g", Key: "k"})
	m.commit()
	s := m.overlay.Pin()
	defer s.Release()
	failed := errors.New("damaged")
	_, ok, err := s.Merge(failing{failed}, Bounds{Unbounded: true}, false).Next()
	require.ErrorIs(t, err, failed)
	require.False(t, ok)
}

type failing struct{ err error }

func (f failing) Next() (row kv.Row, ok bool, err error) { return row, false, f.err }
func (f failing) Pass(string)                            {}

func (f failing) Deadline(string, string) (int64, bool, error) { return 0, false, f.err }
func (f failing) Live(string, int64, int64) (int64, error)     { return 0, f.err }
