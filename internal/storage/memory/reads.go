package memory

import (
	"context"
	"iter"
	"strings"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// load is what is committed now, unless the context has ended or the database
// is closed.
func (m *Store) load(ctx context.Context) (*forest, error) {
	f := m.committed.Load() // before the check: a snapshot that ends is emptied
	if err := m.check(ctx); err != nil {
		return nil, err
	}
	return f, nil
}

// pinned is load for reads of more than one key: what they are shown stays until done
// is called.
func (m *Store) pinned(ctx context.Context) (f *forest, done func(), err error) {
	f = m.pins.pin(&m.committed)
	done = func() { m.pins.unpin(f.number) }
	if err := m.check(ctx); err != nil {
		done()
		return nil, nil, err
	}
	return f, done, nil
}

func (m *Store) check(ctx context.Context) error {
	select {
	case <-m.done:
		return kv.ClosedError
	default:
	}
	if m.ended != nil {
		if reason := m.ended.Load(); reason != nil {
			return *reason
		}
	}
	return storage.ContextError(ctx)
}

func (m *Store) Get(ctx context.Context, group, key string) (kv.Row, bool, error) {
	row, found, _, err := m.GetAt(ctx, group, key)
	return row, found, err
}

// GetAt is Get, with the version that it was read at.
func (m *Store) GetAt(ctx context.Context, group, key string) (kv.Row, bool, storage.Version, error) {
	v := storage.Version(m.changes.Now()) // older than what is seen, never newer
	for {
		f, err := m.load(ctx)
		if err != nil {
			return kv.Row{}, false, v, err
		}
		if m.loaded != nil {
			m.loaded()
		}
		row, found, sure := f.rows.Get(group, key)
		switch {
		case !sure && m.committed.Load() != f:
			// A later forest has been published meanwhile, which shows another row, and
			// the one that this forest shows may be gone.
		case found:
			return *row, true, v, nil
		default:
			return kv.Row{}, false, v, nil
		}
	}
}

// GetMany looks several keys up in one version.
func (m *Store) GetMany(ctx context.Context, group string, keys []string) (rows []kv.Row, err error) {
	f, done, err := m.pinned(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	for _, key := range keys {
		if row, found, _ := f.rows.Get(group, key); found {
			rows = append(rows, *row)
		}
	}
	return rows, nil
}

// walk visits the rows of a range, checking the context now and then.
func (m *Store) walk(ctx context.Context, r kv.Range, visit func(*kv.Row) bool) error {
	f, done, err := m.pinned(ctx)
	if err != nil {
		return err
	}
	defer done()
	checked := m.checking(ctx, &err)
	ascend(f.rows, r, func(row *kv.Row) bool { return checked() && visit(row) })
	return err
}

// checkedRows is how many rows are visited between two looks at the context.
const checkedRows = 256

// checking is a function that says whether to go on, looking at the context
// every so many calls; why not stands in err.
func (m *Store) checking(ctx context.Context, err *error) func() bool {
	visited := 0
	return func() bool {
		if visited++; visited%checkedRows == 0 {
			*err = m.check(ctx)
		}
		return *err == nil
	}
}

func (m *Store) GroupExists(ctx context.Context, group string, now int64) (exists bool, err error) {
	err = m.walk(ctx, kv.GroupRange(group), func(row *kv.Row) bool {
		exists = row.Live(now)
		return !exists
	})
	return exists, err
}

func (m *Store) Count(ctx context.Context, r kv.Range, now int64) (int, error) {
	usage, err := m.Usage(ctx, r, now)
	return int(usage.Keys), err
}

func (m *Store) Usage(ctx context.Context, r kv.Range, now int64) (kv.Usage, error) {
	return m.usage(ctx, r, func(row *kv.Row) bool { return row.Live(now) })
}

// usage counts the rows that pass, and the groups that have one.
func (m *Store) usage(ctx context.Context, r kv.Range, passes func(*kv.Row) bool) (usage kv.Usage, err error) {
	group := ""
	err = m.walk(ctx, r, func(row *kv.Row) bool {
		if passes(row) {
			if usage.Keys++; usage.Groups == 0 || row.Group != group {
				usage.Groups++
				group = row.Group
			}
		}
		return true
	})
	return usage, err
}

func (m *Store) Expired(ctx context.Context, r kv.Range, now int64) (usage kv.Usage, err error) {
	f, done, err := m.pinned(ctx)
	if err != nil {
		return usage, err
	}
	defer done()
	checked := m.checking(ctx, &err)
	groups := make(map[string]struct{})
	f.expiring.Scan(func(row *kv.Row) bool {
		if !checked() || row.Live(now) {
			return false
		}
		if r.Contains(row.Group) {
			usage.Keys++
			groups[row.Group] = struct{}{}
		}
		return true
	})
	for group := range groups {
		live := false
		ascend(f.rows, kv.GroupRange(group), func(row *kv.Row) bool {
			live = row.Live(now)
			return checked() && !live
		})
		if !live {
			usage.Groups++
		}
	}
	return usage, err
}

func (m *Store) Scan(ctx context.Context, q storage.Query, now int64) iter.Seq2[kv.Row, error] {
	return func(yield func(kv.Row, error) bool) {
		left := q.Limit // 0 stands for all: it is never met again
		group := ""     // of the row before
		f, done, err := m.pinned(ctx)
		if err == nil {
			defer done()
			f.scan(q, func(row *kv.Row) bool {
				if err = m.check(ctx); err != nil {
					return false
				}
				if !row.Live(now) || !q.Keys.Contains(row.Key) {
					return true
				}
				found := *row
				if q.KeysOnly { // what is kept of a row must not keep its value
					found.Value, found.Key = "", strings.Clone(row.Key)
					if row.Group != group {
						group = strings.Clone(row.Group)
					}
					found.Group = group
				}
				left--
				return yield(found, nil) && left != 0
			})
		}
		if err != nil {
			yield(kv.Row{}, err)
		}
	}
}

func (m *Store) GetAll(ctx context.Context, group string, now int64) (map[string]string, error) {
	return storage.Gather(m.Scan(ctx, storage.GroupQuery(group), now))
}

func (m *Store) Page(ctx context.Context, group string, offset, limit int, now int64) (page []kv.KeyValue, err error) {
	err = m.walk(ctx, kv.GroupRange(group), func(row *kv.Row) bool {
		switch {
		case len(page) >= limit:
			return false
		case !row.Live(now):
		case offset > 0:
			offset--
		default:
			page = append(page, kv.KeyValue{Key: row.Key, Value: row.Value})
		}
		return true
	})
	return page, err
}

// Groups looks one row a group up, and further ones only while they are dead.
func (m *Store) Groups(ctx context.Context, r kv.Range, now int64) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		f, done, err := m.pinned(ctx)
		if err == nil {
			defer done()
		}
		for rest := r; err == nil; err = m.check(ctx) {
			group, found := "", false
			checked := m.checking(ctx, &err)
			ascend(f.rows, rest, func(row *kv.Row) bool {
				if found = row.Live(now); found {
					group = strings.Clone(row.Group) // what is kept of a row must not keep its value
				}
				return checked() && !found
			})
			if err != nil {
				break
			}
			if !found || !yield(group, nil) {
				return
			}
			rest.From = kv.GroupRange(group).To
		}
		yield("", err)
	}
}
