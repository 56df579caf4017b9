package overlay

import (
	"fmt"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
)

// shown is the base as it can be seen, and how much it has.
type shown struct {
	rows   rows
	folded Cursor
}

// TestReadersBesideAWriterAndAFold: each commit gives all keys of a group one number, or
// deletes the group and gives them to another one. A reader sees one number, and none
// that is less than what was acknowledged before.
func TestReadersBesideAWriterAndAFold(t *testing.T) {
	const commits, width = 2_000, 8
	m := newMachine(rows{})
	var base atomic.Pointer[shown]
	var acknowledged atomic.Int64
	var ended atomic.Bool
	arranged := make(chan *Arrangement, 1)
	show := func() { base.Store(&shown{maps.Clone(m.base), m.overlay.Progress()}) }
	show()
	var all sync.WaitGroup
	for reader := range 4 {
		all.Go(func() {
			for !ended.Load() {
				least := acknowledged.Load()
				if reader%2 == 0 {
					readGroup(t, m.overlay, &base, least, reader == 0)
				} else {
					readKey(t, m.overlay, &base, least, reader%width)
				}
				if t.Failed() {
					return
				}
			}
		})
	}
	for n := 1; n <= commits; n++ {
		if n%5 == 0 {
			m.removeGroup("g")
		}
		for k := range width {
			m.set(kv.Row{Group: "g", Key: fmt.Sprint(k), Value: fmt.Sprint(n), Deadline: kv.NoDeadline})
		}
		if n%7 == 0 { // and again, so that a commit has versions that no reader may see
			m.set(kv.Row{Group: "g", Key: "0", Value: fmt.Sprint(n), Deadline: kv.NoDeadline})
		}
		m.overlay.Commit(m.revision)
		m.overlay.Prune()
		acknowledged.Store(int64(n))
		switch {
		case !m.overlay.Frozen() && n%3 == 0:
			frozen := m.overlay.Freeze()
			go func() { // while the writer goes on
				a, err := frozen.Arrange(nil)
				assert.NoError(t, err)
				arranged <- a
			}()
		case m.overlay.Frozen() && m.overlay.arranged == nil:
			select {
			case a := <-arranged:
				m.overlay.Arranged(a)
			default:
			}
		case m.overlay.Frozen():
			changes, end := m.overlay.Slice(m.overlay.Progress(), 3, 1<<20)
			m.apply(changes)
			m.overlay.Folded(end)
			show() // as COMMIT does
			if end.Run > m.overlay.working.frozen.number {
				m.overlay.Retire()
			}
		}
	}
	ended.Store(true)
	all.Wait()
	if m.overlay.Frozen() && m.overlay.arranged == nil {
		<-arranged
	}
	assert.Equal(t, m.weight(), m.overlay.Bytes())
}

func readGroup(t *testing.T, o *Overlay, base *atomic.Pointer[shown], least int64, reverse bool) {
	s := o.Pin()
	defer s.Release()
	b := base.Load()
	if o.Overtaken(s) {
		return
	}
	bounds := GroupBounds(kv.GroupRange("g"))
	merged := s.Merge(&source{rows: b.rows.within(bounds, reverse)}, bounds, reverse)
	seen := make(map[string]int)
	total := 0
	for {
		row, ok, err := merged.Next()
		assert.NoError(t, err)
		if !ok {
			break
		}
		seen[row.Value]++
		total++
		n, _ := strconv.ParseInt(row.Value, 10, 64)
		assert.GreaterOrEqual(t, n, least)
	}
	assert.LessOrEqual(t, len(seen), 1, "%v", seen)
	assert.True(t, total == 8 || total == 0 && least == 0, "%d rows", total)
	delta, err := s.Delta(kv.PrefixRange(""), 0, b.folded, b.rows, true)
	assert.NoError(t, err)
	usage := b.rows.usage(kv.PrefixRange(""), 0)
	assert.Equal(t, int64(total), usage.Keys+delta.Keys)
	assert.Equal(t, int64(min(total, 1)), usage.Groups+delta.Groups)
}

func readKey(t *testing.T, o *Overlay, base *atomic.Pointer[shown], least int64, k int) {
	key := fmt.Sprint(k)
	row, verdict := o.Get("g", key)
	if verdict == Below {
		row = base.Load().rows[kv.Key{Group: "g", Key: key}]
	}
	assert.False(t, verdict == Absent && least > 0)
	n, _ := strconv.ParseInt(row.Value, 10, 64)
	assert.GreaterOrEqual(t, n, least)
}

// TestReadersFindWhatLiesBesideNewKeys: a reader finds a key that was published before,
// whatever is added right before it meanwhile.
func TestReadersFindWhatLiesBesideNewKeys(t *testing.T) {
	const keys = 50_000
	o, revision := New(0), uint64(0)
	set := func(key string) {
		revision++
		o.Set(kv.Row{Group: "g", Key: key, Value: "v", Deadline: kv.NoDeadline, Revision: revision})
		o.Commit(revision)
		o.Prune()
	}
	set("z")
	var ended atomic.Bool
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for !ended.Load() {
				if _, verdict := o.Get("g", "z"); !assert.Equal(t, Present, verdict) {
					return
				}
			}
		})
	}
	for i := range keys {
		set(fmt.Sprintf("%08d", i))
	}
	ended.Store(true)
	all.Wait()
}
