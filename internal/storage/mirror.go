package storage

import (
	"strings"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/tidwall/btree"
	"zombiezen.com/go/sqlite"
)

// mirror serves the reads of a ":memory:" database from process memory: a
// copy-on-write B-tree of what is committed. Readers load one pointer and then
// share nothing with the writer, so a scan may last as long as it likes.
type mirror struct {
	done      <-chan struct{}        // closed by Database.Close
	committed atomic.Pointer[forest] // never changed once published
	working   forest                 // owned by the writer
	expiry    bool                   // owned by the writer: working.expiring differs from what is published
}

// forest is the rows in both orders that reads ask for. The same row stands in
// both trees; a row never changes.
type forest struct {
	rows     *tree // by group and key
	expiring *tree // those with a deadline, by it
}

type tree = btree.BTreeG[*kv.Row]

// mirrorDegree is less than the library's 32: a commit copies each node on its
// way before it changes it.
const mirrorDegree = 16

// change is what a statement did, waiting for COMMIT.
type change struct {
	kind changeKind
	row  kv.Row
}

type changeKind uint8

const (
	put changeKind = iota
	remove
	removeGroup
)

func newMirror(done <-chan struct{}) *mirror {
	m := &mirror{done: done}
	m.reset()
	m.publish()
	return m
}

func (m *mirror) reset() {
	options := btree.Options{Degree: mirrorDegree, NoLocks: true}
	m.working = forest{
		rows:     btree.NewBTreeGOptions(rowLess, options),
		expiring: btree.NewBTreeGOptions(sooner, options),
	}
	m.expiry = true
}

func rowLess(a, b *kv.Row) bool {
	if c := strings.Compare(a.Group, b.Group); c != 0 {
		return c < 0
	}
	return a.Key < b.Key
}

func sooner(a, b *kv.Row) bool {
	if a.Deadline != b.Deadline {
		return a.Deadline < b.Deadline
	}
	return rowLess(a, b)
}

// publish shows readers what the writer has made.
func (m *mirror) publish() {
	next := &forest{rows: m.working.rows.Copy()}
	if m.expiry {
		next.expiring, m.expiry = m.working.expiring.Copy(), false
	} else {
		next.expiring = m.committed.Load().expiring
	}
	m.committed.Store(next)
}

// apply makes a committed transaction visible. Called by the writer.
func (m *mirror) apply(journal []change) {
	if len(journal) == 0 {
		return
	}
	for i := range journal {
		switch c := &journal[i]; c.kind {
		case put:
			m.put(ownRow(&c.row))
		case remove:
			m.remove(&c.row)
		case removeGroup:
			m.removeGroup(c.row.Group)
		}
	}
	m.publish()
}

func (m *mirror) put(row *kv.Row) {
	if previous, replaced := m.working.rows.Set(row); replaced {
		m.forgetExpiry(previous)
	}
	if row.Deadline != kv.NoDeadline {
		m.working.expiring.Set(row)
		m.expiry = true
	}
}

func (m *mirror) remove(row *kv.Row) {
	if previous, removed := m.working.rows.Delete(row); removed {
		m.forgetExpiry(previous)
	}
}

func (m *mirror) forgetExpiry(row *kv.Row) {
	if row.Deadline != kv.NoDeadline {
		m.working.expiring.Delete(row)
		m.expiry = true
	}
}

func (m *mirror) removeGroup(group string) {
	var rows []*kv.Row
	ascend(m.working.rows, kv.GroupRange(group), func(row *kv.Row) bool {
		rows = append(rows, row)
		return true
	})
	for _, row := range rows {
		m.remove(row)
	}
}

// ownRow copies a row's strings into one of their own: those of the caller may
// be small parts of something large.
func ownRow(row *kv.Row) *kv.Row {
	all := row.Group + row.Key + row.Value
	g, k := len(row.Group), len(row.Group)+len(row.Key)
	return &kv.Row{Group: all[:g], Key: all[g:k], Value: all[k:], Deadline: row.Deadline}
}

// rebuild makes the mirror anew from what SQLite holds.
func (m *mirror) rebuild(conn *sqlite.Conn) error {
	stmt, err := conn.Prepare(sqlEverything)
	if err != nil {
		return err
	}
	m.reset()
	for {
		found, err := stmt.Step()
		if err != nil {
			return err
		}
		if !found {
			m.publish()
			return stmt.Reset()
		}
		row, err := readRow(stmt)
		if err != nil {
			return err
		}
		m.put(&row)
	}
}

// ascend walks the rows of a range of groups.
func ascend(rows *tree, r kv.Range, visit func(*kv.Row) bool) {
	rows.Ascend(&kv.Row{Group: r.From}, func(row *kv.Row) bool {
		return (r.Unbounded || row.Group < r.To) && visit(row)
	})
}
