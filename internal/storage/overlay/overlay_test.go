package overlay

import (
	"fmt"
	"testing"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func versions(o *Overlay, group, key string) (n int) {
	for v := o.working.active.rows.find(group, key).newest.Load(); v != nil; v = v.before.Load() {
		n++
	}
	return n
}

func setAndCommit(m *machine, value int) {
	m.set(kv.Row{Group: "g", Key: "k", Value: fmt.Sprint(value), Deadline: kv.NoDeadline})
	m.commit()
}

// What was replaced goes at once if there is no reader, and what none can see between two
// of them; the rest as the last goes that could see it.
func TestOldVersionsGo(t *testing.T) {
	m := newMachine(rows{})
	for i := range 10 {
		setAndCommit(m, i)
	}
	require.Equal(t, 1, versions(m.overlay, "g", "k"))
	alone := m.overlay.Bytes()
	m.pin()
	for i := range 200 {
		setAndCommit(m, i)
	}
	m.pin()
	for i := range 200 {
		setAndCommit(m, i)
	}
	require.Equal(t, 3, versions(m.overlay, "g", "k"))
	m.release(0)
	m.release(0)
	setAndCommit(m, 9)
	require.Equal(t, 1, versions(m.overlay, "g", "k"))
	require.Equal(t, alone, m.overlay.Bytes())
}

// A reader that loads a state and stands still, until the versions that it should see are
// gone, looks again.
func TestReadersLookAgain(t *testing.T) {
	m := newMachine(rows{})
	setAndCommit(m, 1)
	setAndCommit(m, 2)
	overtaken := false
	m.overlay.loaded = func() {
		if !overtaken {
			overtaken = true
			setAndCommit(m, 3)
		}
	}
	row, verdict := m.overlay.Get("g", "k")
	require.Equal(t, Present, verdict)
	require.Equal(t, "3", row.Value)
	overtaken = false
	s := m.overlay.Pin()
	defer s.Release()
	require.Equal(t, m.published, s.Revision())
	setAndCommit(m, 4)
	row, verdict = s.Get("g", "k")
	require.Equal(t, Present, verdict)
	require.Equal(t, "3", row.Value)
}

// A key that was changed in a transaction that was rolled back says nothing.
func TestWhatWasRolledBackIsNotThere(t *testing.T) {
	m := newMachine(rows{})
	m.set(kv.Row{Group: "g", Key: "k", Deadline: 1})
	m.removeGroup("h")
	m.rollback()
	m.commit()
	_, verdict := m.overlay.Get("g", "k")
	require.Equal(t, Below, verdict)
	require.False(t, m.overlay.Working().Hides("h"))
	require.Equal(t, kv.NoDeadline, m.overlay.Earliest())
	m.freeze(false)
	m.fold(10, false)
	require.Empty(t, m.base)
	require.False(t, m.overlay.Frozen())
}

// What a deleted group had in the overlay is not removed key by key, and its mark has a
// slice's end to itself.
func TestDeletedGroupsFoldAsOne(t *testing.T) {
	m := newMachine(rows{})
	for i := range 10 {
		m.set(kv.Row{Group: "g", Key: fmt.Sprint(i), Deadline: kv.NoDeadline})
	}
	m.remove("g", "0")
	m.removeGroup("g")
	m.set(kv.Row{Group: "g", Key: "5", Deadline: kv.NoDeadline})
	m.set(kv.Row{Group: "g", Key: "6", Deadline: kv.NoDeadline})
	m.remove("g", "6")
	m.set(kv.Row{Group: "a", Key: "1", Deadline: kv.NoDeadline})
	m.commit()
	m.arrange(t, nil)
	first, end := m.overlay.Slice(m.overlay.Progress(), 10, 1<<20)
	require.Equal(t, []Kind{RemoveGroup}, kinds(first))
	second, end := m.overlay.Slice(end, 10, 1<<20)
	require.Equal(t, []Kind{Put, Put}, kinds(second))
	require.Equal(t, "5", second[1].Row.Key)
	require.EqualValues(t, 2, end.Run)
}

// arrange freezes the active run and begins its fold.
func (m *machine) arrange(t *testing.T, locate func(group, key string) (Place, error)) {
	a, err := m.overlay.Freeze().Arrange(locate)
	require.NoError(t, err)
	m.overlay.Arranged(a)
}

// What the base has is folded by its places, and the rest by keys; what is gone and was
// never there is not folded at all.
func TestFoldsGoByThePlaces(t *testing.T) {
	m := newMachine(rows{})
	for _, key := range []string{"1", "2", "3", "4", "5"} {
		m.set(kv.Row{Group: "g", Key: key, Deadline: kv.NoDeadline})
	}
	m.remove("g", "3")
	m.remove("g", "6")
	m.commit()
	m.arrange(t, func(_, key string) (Place, error) {
		return Place{At: -int64(key[0]), Found: key == "1" || key == "3" || key == "4"}, nil
	})
	changes, _ := m.overlay.Slice(m.overlay.Progress(), 10, 1<<20)
	var keys []string
	for _, c := range changes {
		keys = append(keys, c.Row.Key)
	}
	require.Equal(t, []string{"4", "3", "1", "2", "5"}, keys)
}

// A run that can't be arranged can be arranged another time.
func TestArrangingFails(t *testing.T) {
	m := newMachine(rows{})
	setAndCommit(m, 1)
	frozen := m.overlay.Freeze()
	_, err := frozen.Arrange(func(string, string) (Place, error) { return Place{}, fmt.Errorf("damaged") })
	require.Error(t, err)
	a, err := frozen.Arrange(nil)
	require.NoError(t, err)
	m.overlay.Arranged(a)
	require.Panics(t, func() { m.overlay.Arranged(a) })
	m.fold(1, false)
	require.Contains(t, m.base, kv.Key{Group: "g", Key: "k"})
}

// A state that others come to by something of their own is not pruned before that leads on.
func TestStatesOfOthers(t *testing.T) {
	m := newMachine(rows{})
	setAndCommit(m, 1)
	shown := m.overlay.Published()
	_, _, sure := shown.Try("g", "k")
	require.True(t, sure)
	m.set(kv.Row{Group: "g", Key: "k", Value: "2", Deadline: kv.NoDeadline})
	m.overlay.Commit(m.revision)
	shown.Retain() // by a reader that finds that it is still shown
	m.overlay.Prune()
	row, _ := shown.Get("g", "k")
	require.Equal(t, "1", row.Value)
	_, _, sure = shown.Try("g", "k")
	require.False(t, sure)
	shown.Release()
}

func kinds(changes []Change) (kinds []Kind) {
	for _, c := range changes {
		kinds = append(kinds, c.Kind)
	}
	return kinds
}

// Slices are bounded by rows and by bytes, but have one.
func TestSlicesAreBounded(t *testing.T) {
	m := newMachine(rows{})
	for i := range 10 {
		m.set(kv.Row{Group: "g", Key: fmt.Sprint(i), Value: "0123456789", Deadline: kv.NoDeadline})
	}
	m.commit()
	m.arrange(t, nil)
	for _, bound := range []struct{ changes, bytes, want int }{{3, 1 << 20, 3}, {10, 1, 1}, {10, 13, 2}, {20, 1 << 20, 10}} {
		changes, _ := m.overlay.Slice(m.overlay.Progress(), bound.changes, bound.bytes)
		require.Len(t, changes, bound.want)
	}
}

// A run that was retired is held while a reader has pinned it, and weighs so much.
func TestRetiredRunsAreHeld(t *testing.T) {
	m := newMachine(rows{})
	setAndCommit(m, 1)
	m.pin()
	m.freeze(false)
	require.Zero(t, m.overlay.Held())
	weight := m.overlay.Bytes()
	for m.overlay.Frozen() {
		m.fold(10, false)
	}
	require.Equal(t, weight, m.overlay.Held())
	require.Zero(t, m.overlay.Bytes())
	m.pinned[0].check(t, Bounds{Unbounded: true}, false, false, 0)
	m.release(0)
	require.Zero(t, m.overlay.Held())
}

// An effect of another type would be lost.
func TestUnknownEffects(t *testing.T) {
	require.Panics(t, func() { New(1).Apply(&kv.Event{Type: 9}) })
}

// A fold out of order is stopped.
func TestFoldsOutOfOrder(t *testing.T) {
	m := newMachine(rows{})
	require.Panics(t, m.overlay.Retire)
	m.set(kv.Row{Group: "g", Key: "k"})
	require.Panics(t, func() { m.overlay.Freeze() })
	m.commit()
	m.overlay.Freeze()
	require.Panics(t, func() { m.overlay.Freeze() })
	require.Panics(t, m.overlay.Retire)
	m.set(kv.Row{Group: "g", Key: "l"})
	m.arrangement, _ = (&Frozen{m.overlay.working.frozen}).Arrange(nil)
	m.fold(9, false)
	require.True(t, m.overlay.Frozen())
	require.Panics(t, m.overlay.Retire, "a transaction is open")
	m.rollback()
	require.False(t, m.overlay.Frozen())
}

// What lies below a key is looked up once for as long as the run lasts.
func TestCountsAskOnce(t *testing.T) {
	base := rows{{Group: "g", Key: "1"}: {Group: "g", Key: "1", Deadline: 20}}
	m := newMachine(base)
	m.remove("g", "1")
	m.set(kv.Row{Group: "g", Key: "2", Deadline: 20})
	m.commit()
	asked := &counting{rows: base}
	for range 3 {
		delta, err := m.overlay.Working().Delta(kv.PrefixRange(""), 10, m.overlay.Progress(), asked, false)
		require.NoError(t, err)
		require.Equal(t, kv.Usage{}, delta)
	}
	require.Equal(t, 2, asked.deadlines)
}

type counting struct {
	rows
	deadlines int
}

func (c *counting) Deadline(group, key string) (int64, bool, error) {
	c.deadlines++
	return c.rows.Deadline(group, key)
}

// TestCountsEndWithTheBasesError, whatever they ask.
func TestCountsEndWithTheBasesError(t *testing.T) {
	m := newMachine(rows{})
	m.set(kv.Row{Group: "a", Key: "k"})
	m.removeGroup("b")
	m.commit()
	for _, group := range []string{"a", "b"} {
		_, err := m.overlay.Working().Delta(kv.GroupRange(group), 0, Cursor{}, failing{fmt.Errorf("damaged")}, true)
		require.Error(t, err)
	}
}

// The tail of a log, applied to an empty overlay over a base that has some of it, shows what
// was committed: where a fold was interrupted makes no difference.
func TestTailOverAnInterruptedFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(rows{{Group: "b", Key: "k"}: {Group: "b", Key: "k", Deadline: 5, Revision: 1}, {Group: "a", Key: "l"}: {Group: "a", Key: "l", Deadline: 5, Revision: 1}})
		var tail []kv.Event
		write := func() {
			for range rapid.IntRange(1, 10).Draw(t, "writes") {
				e := kv.Event{Type: kv.EventType(rapid.IntRange(0, 3).Draw(t, "type")), Group: rapid.SampledFrom(groups[1:3]).Draw(t, "group")}
				if e.Type != kv.EventDeleteGroup {
					e.Key = rapid.SampledFrom(keys[1:4]).Draw(t, "key")
				}
				switch e.Type {
				case kv.EventSet:
					e.ExpiresAt = kv.DeadlineTime(rapid.SampledFrom([]int64{5, kv.NoDeadline}).Draw(t, "deadline"))
					row := kv.Row{Group: e.Group, Key: e.Key, Deadline: kv.NoDeadline}
					if !e.ExpiresAt.IsZero() {
						row.Deadline = 5
					}
					m.set(row)
				case kv.EventDeleteGroup:
					m.removeGroup(e.Group)
				default:
					m.remove(e.Group, e.Key)
				}
				e.Revision = m.revision
				tail = append(tail, e)
			}
			m.commit()
		}
		write()
		m.freeze(rapid.Bool().Draw(t, "located"))
		write()
		for range rapid.IntRange(0, 8).Draw(t, "slices") {
			m.fold(1, false) // as far as it comes; folded_revision says that nothing is
		}
		again := machine{overlay: New(1), base: m.base}
		for i := range tail {
			again.overlay.Apply(&tail[i])
		}
		again.overlay.Commit(m.revision)
		again.overlay.Prune()
		require.Equal(t, m.committed.within(Bounds{Unbounded: true}, false), again.merged(t))
	})
}

// TestListKeepsOrder of any keys, both ways.
func TestListKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l list
		l.init()
		want := rows{}
		for _, p := range rapid.SliceOfN(rapid.Custom(func(t *rapid.T) kv.Key {
			return kv.Key{Group: rapid.StringMatching("[a-c]{0,2}").Draw(t, "group"), Key: rapid.StringMatching("[a-c]{0,3}").Draw(t, "key")}
		}), 0, 200).Draw(t, "positions") {
			_, made := l.insert(p.Group, p.Key)
			_, known := want[p]
			require.Equal(t, !known, made)
			want[p] = kv.Row{Group: p.Group, Key: p.Key}
		}
		require.Equal(t, len(want), l.length)
		var forth, back []kv.Row
		for c := l.first(); c != nil; c = c.follows() {
			forth = append(forth, kv.Row{Group: c.group, Key: c.key})
		}
		for c := l.final(); c != nil; c = c.leads() {
			back = append(back, kv.Row{Group: c.group, Key: c.key})
		}
		all := Bounds{Unbounded: true}
		require.Equal(t, want.within(all, false), forth)
		require.Equal(t, want.within(all, true), back)
	})
}

// FuzzOverlay drives the model's programs by bytes.
func FuzzOverlay(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x08\x0a\x0b\x0c\x0d\x13\x08\x0b"))
	f.Fuzz(func(t *testing.T, program []byte) {
		m := newMachine(rows{})
		for i, p := range everywhere() {
			if i%3 == 0 {
				m.base[p] = kv.Row{Group: p.Group, Key: p.Key, Value: "base", Deadline: kv.NoDeadline, Revision: 1}
				m.committed[p], m.working[p] = m.base[p], m.base[p]
			}
		}
		for i, b := range program[:min(len(program), 200)] {
			p := everywhere()[int(b)*7%len(everywhere())]
			switch b % 12 {
			case 0, 1, 2:
				m.set(kv.Row{Group: p.Group, Key: p.Key, Value: fmt.Sprint(i), Deadline: int64(b)})
			case 3:
				m.remove(p.Group, p.Key)
			case 4:
				m.removeGroup(p.Group)
			case 5:
				m.rollback()
			case 6:
				m.savepoint()
			case 7:
				m.undo()
			case 8:
				m.commit()
			case 9:
				m.pin()
			case 10:
				if m.overlay.Mark() == 0 && !m.overlay.Frozen() {
					m.freeze(b%2 == 0)
				}
			case 11:
				m.fold(1+int(b)%4, b%2 == 0)
			}
			if len(m.pinned) > 3 {
				m.release(int(b) % 3)
			}
		}
		checkMachine(t, m, Bounds{From: kv.Key{Group: "a"}, Unbounded: true}, len(program)%2 == 0)
	})
}
