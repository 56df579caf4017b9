package writer

import (
	"errors"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

var errDisk = errors.New("disk trouble")

// faulty is storage that fails when told to. It is the writer's: what to fail
// next is set while the writer is idle.
type faulty struct {
	storage.Writer
	fail map[string]int // how often each method is still to fail

	lose bool // a failing method also ends the transaction, as SQLite does when the disk fails

	expired       int       // how often Expired was called
	deadFrom      []*kv.Key // where DeadIn was to begin
	values, heads int       // bytes that Get has read, and rows of which Head was asked

	before, after func() // if not nil, called around COMMIT; may panic
}

func (f *faulty) failing(method string) error {
	if f.fail[method] == 0 {
		return nil
	}
	f.fail[method]--
	if f.lose {
		_ = f.Writer.Rollback()
	}
	return errDisk
}

func (f *faulty) Begin() error {
	if err := f.failing("Begin"); err != nil {
		return err
	}
	return f.Writer.Begin()
}

func (f *faulty) Savepoint() error {
	if err := f.failing("Savepoint"); err != nil {
		return err
	}
	return f.Writer.Savepoint()
}

func (f *faulty) Release() error {
	if err := f.failing("Release"); err != nil {
		return err
	}
	return f.Writer.Release()
}

func (f *faulty) RollbackTo() error {
	if err := f.failing("RollbackTo"); err != nil {
		return err
	}
	return f.Writer.RollbackTo()
}

func (f *faulty) Commit() error {
	if err := f.failing("Commit"); err != nil {
		return err
	}
	if f.before != nil {
		f.before()
	}
	err := f.Writer.Commit()
	if f.after != nil {
		f.after()
	}
	return err
}

func (f *faulty) Rollback() error {
	err := f.Writer.Rollback()
	return errors.Join(err, f.failing("Rollback"))
}

func (f *faulty) Resynchronise() error {
	err := f.Writer.Resynchronise()
	return errors.Join(err, f.failing("Resynchronise"))
}

func (f *faulty) Earliest() (int64, error) {
	if err := f.failing("Earliest"); err != nil {
		return 0, err
	}
	return f.Writer.Earliest()
}

func (f *faulty) Get(group, key string) (kv.Row, bool, error) {
	if err := f.failing("Get"); err != nil {
		return kv.Row{}, false, err
	}
	row, found, err := f.Writer.Get(group, key)
	f.values += len(row.Value)
	return row, found, err
}

func (f *faulty) Head(group, key string) (kv.Row, int, bool, error) {
	if err := f.failing("Head"); err != nil {
		return kv.Row{}, 0, false, err
	}
	f.heads++
	return f.Writer.Head(group, key)
}

func (f *faulty) Upsert(row kv.Row) error {
	if err := f.failing("Upsert"); err != nil {
		return err
	}
	return f.Writer.Upsert(row)
}

func (f *faulty) Update(row kv.Row) (bool, error) {
	if err := f.failing("Update"); err != nil {
		return false, err
	}
	return f.Writer.Update(row)
}

func (f *faulty) Insert(row kv.Row) error {
	if err := f.failing("Insert"); err != nil {
		return err
	}
	return f.Writer.Insert(row)
}

func (f *faulty) Delete(group, key string) (bool, error) {
	if err := f.failing("Delete"); err != nil {
		return false, err
	}
	return f.Writer.Delete(group, key)
}

func (f *faulty) DeleteGroup(group string) (int64, error) {
	if err := f.failing("DeleteGroup"); err != nil {
		return 0, err
	}
	return f.Writer.DeleteGroup(group)
}

func (f *faulty) NextGroup(r kv.Range, after string, started bool) (string, bool, error) {
	if err := f.failing("NextGroup"); err != nil {
		return "", false, err
	}
	return f.Writer.NextGroup(r, after, started)
}

func (f *faulty) HasGroup(group string) (bool, error) {
	if err := f.failing("HasGroup"); err != nil {
		return false, err
	}
	return f.Writer.HasGroup(group)
}

func (f *faulty) HasLiveRow(group string, now int64) (bool, error) {
	if err := f.failing("HasLiveRow"); err != nil {
		return false, err
	}
	return f.Writer.HasLiveRow(group, now)
}

func (f *faulty) Expired(r kv.Range, after, now int64, limit int) ([]kv.Row, error) {
	if err := f.failing("Expired"); err != nil {
		return nil, err
	}
	f.expired++
	return f.Writer.Expired(r, after, now, limit)
}

func (f *faulty) DeadIn(r kv.Range, from *kv.Key, after, now int64, limit int) ([]kv.Row, error) {
	f.deadFrom = append(f.deadFrom, from)
	return f.Writer.DeadIn(r, from, after, now, limit)
}

func (f *faulty) Snapshot() (storage.Snapshot, error) {
	if err := f.failing("Snapshot"); err != nil {
		return nil, err
	}
	return f.Writer.Snapshot()
}

func (f *faulty) AppendLog(row kv.LogRow, end int64) error {
	if err := f.failing("AppendLog"); err != nil {
		return err
	}
	return f.Writer.AppendLog(row, end)
}

func (f *faulty) ReadLog(from uint64, bytes int) ([]kv.LogRow, error) {
	if err := f.failing("ReadLog"); err != nil {
		return nil, err
	}
	return f.Writer.ReadLog(from, bytes)
}

func (f *faulty) OldestLog(rows int) ([]storage.LogMark, error) {
	if err := f.failing("OldestLog"); err != nil {
		return nil, err
	}
	return f.Writer.OldestLog(rows)
}

func (f *faulty) TrimLog(through uint64) error {
	if err := f.failing("TrimLog"); err != nil {
		return err
	}
	return f.Writer.TrimLog(through)
}

func (f *faulty) LogExtent() (storage.LogExtent, error) {
	if err := f.failing("LogExtent"); err != nil {
		return storage.LogExtent{}, err
	}
	return f.Writer.LogExtent()
}

// next has the next call of a method fail.
func (b *bench) next(method string) {
	b.settle()
	b.faulty.fail[method] = 1
}

// TestEachStorageFault: whatever call of the storage fails, with or without the
// transaction, the mutation that met it is refused and nothing of it is there.
// Figures and rows agree, and the next one works.
func TestEachStorageFault(t *testing.T) {
	quota := kv.QuotaConfig{MaxKeys: 100, MaxGroups: 5}
	insert, update := set("n:g", "new"), set("n:g", "old")
	dead := set("n:dead", "k")
	purge := kv.Mutation{Kind: kv.PurgeExpired, Range: kv.PrefixRange(""), Limit: 10}
	crowded := within(set("n:sixth", "k"), "n", kv.QuotaConfig{MaxGroups: 2})
	for _, c := range []struct {
		method   string
		mutation kv.Mutation
	}{
		{"Begin", insert}, {"Savepoint", insert}, {"Release", insert}, {"Commit", insert},
		{"Upsert", set("loose", "new")}, {"Update", insert}, {"Insert", insert}, {"HasGroup", insert},
		{"Update", update}, {"Head", update}, {"Head", dead}, {"Get", dead}, {"Delete", dead}, {"HasGroup", dead},
		{"Delete", kv.Mutation{Kind: kv.Delete, Group: "n:g", Key: "old"}},
		{"HasGroup", kv.Mutation{Kind: kv.Delete, Group: "n:g", Key: "old"}},
		{"Head", kv.Mutation{Kind: kv.Delete, Group: "n:g", Key: "old"}},
		{"Head", kv.Mutation{Kind: kv.Touch, Group: "n:g", Key: "old"}}, {"Get", ttl(kv.Mutation{Kind: kv.Touch, Group: "n:g", Key: "old"}, time.Hour)},
		{"DeleteGroup", kv.Mutation{Kind: kv.DeleteGroup, Group: "n:g"}},
		{"HasGroup", kv.Mutation{Kind: kv.DeleteGroup, Group: "n:g"}},
		{"Expired", kv.Mutation{Kind: kv.DeleteGroup, Group: "n:g"}},
		{"Delete", kv.Mutation{Kind: kv.DeleteGroup, Group: "n:dead"}},
		{"NextGroup", kv.Mutation{Kind: kv.DeletePrefix, Range: kv.PrefixRange("n:")}},
		{"DeleteGroup", kv.Mutation{Kind: kv.DeletePrefix, Range: kv.PrefixRange("n:g")}},
		{"Expired", purge}, {"Delete", purge}, {"Earliest", purge},
		{"HasLiveRow", within(set("n:dead", "l"), "n", quota)},
		{"Expired", crowded}, {"Delete", crowded},
		{"Expired", within(set("n:g", "new"), "n", kv.QuotaConfig{MaxKeys: 1})},
	} {
		for _, lose := range []bool{false, true} {
			name := c.method + "/" + map[bool]string{false: "alone", true: "with the transaction"}[lose]
			t.Run(name, func(t *testing.T) {
				b := start(t, options{})
				require.NoError(t, b.apply(within(set("n:g", "old"), "n", quota)).err)
				require.NoError(t, b.apply(ttl(set("n:dead", "k"), time.Second)).err)
				b.source.Advance(time.Minute)
				before := b.stored("n")
				b.next(c.method)
				b.faulty.lose = lose
				got := b.apply(c.mutation)
				require.ErrorIs(t, got.err, errDisk)
				require.Empty(t, got.Events)
				b.settle()
				require.Zero(t, b.faulty.fail[c.method])
				require.Equal(t, before, b.stored("n"))
				require.False(t, b.has("loose", "new"))
				if usage, known := b.told("n"); known {
					require.Equal(t, before, usage)
				}
				require.NoError(t, b.apply(within(set("n:g", "after"), "n", quota)).err)
				usage, _ := b.told("n")
				require.Equal(t, b.stored("n"), usage)
			})
		}
	}
}

// TestFaultOfOneHarmsNoNeighbour, unless the whole transaction went with it.
func TestFaultOfOneHarmsNoNeighbour(t *testing.T) {
	for _, lose := range []bool{false, true} {
		gate := newFlushGate()
		b := start(t, options{hook: gate.hook})
		b.next("DeleteGroup")
		b.faulty.lose = lose
		results := gate.together(b, set("g", "1"), kv.Mutation{Kind: kv.DeleteGroup, Group: "g"}, set("g", "2"))
		require.ErrorIs(t, results[1].err, errDisk)
		for _, i := range []int{0, 2} {
			if lose {
				require.ErrorIs(t, results[i].err, errDisk)
			} else {
				require.NoError(t, results[i].err)
			}
		}
		require.Equal(t, !lose, b.has("g", "1"))
		require.Equal(t, !lose, b.has("g", "2"))
	}
}

// TestSavepointThatCannotBeUndone takes the whole transaction with it: what a
// half-undone request left behind must not be committed with its neighbours.
func TestSavepointThatCannotBeUndone(t *testing.T) {
	gate := newFlushGate()
	b := start(t, options{hook: gate.hook})
	b.next("DeleteGroup")
	b.faulty.fail["RollbackTo"] = 1
	results := gate.together(b, set("g", "1"), kv.Mutation{Kind: kv.DeleteGroup, Group: "g"}, set("g", "2"))
	for _, r := range results {
		require.Error(t, r.err)
		require.Empty(t, r.Events)
	}
	require.False(t, b.has("g", "1") || b.has("g", "2"))
	require.NoError(t, b.apply(set("g", "3")).err)
}

// TestRecoveryThatFails: nothing more can be done than to answer every caller.
func TestRecoveryThatFails(t *testing.T) {
	gate := newFlushGate()
	b := start(t, options{hook: gate.hook})
	b.next("Resynchronise")
	b.faulty.fail["Earliest"] = 1 // of the next incarnation: it judges each row by its own deadline
	require.ErrorIs(t, b.apply(kv.Mutation{Kind: 99}).err, kv.RolledBackError)
	require.NoError(t, b.apply(ttl(set("g", "k"), time.Second)).err)
	b.source.Advance(time.Minute)
	require.Equal(t, []string{"expire g/k", "set g/k"}, kinds(b.apply(set("g", "k")).Events))

	b.next("Rollback")
	b.faulty.fail["Commit"] = 1
	require.ErrorIs(t, b.apply(set("g", "l")).err, errDisk)
	require.False(t, b.has("g", "l"))
	require.NoError(t, b.apply(set("g", "l")).err)
}

// TestSnapshotThatFails: callers that wait for the count are told; no other
// needs it, and the next one has it counted again.
func TestSnapshotThatFails(t *testing.T) {
	b, quota := start(t, options{}), kv.QuotaConfig{MaxKeys: 10}
	b.next("Snapshot")
	require.ErrorIs(t, b.apply(within(set("n:g", "k"), "n", quota)).err, errDisk)
	require.NoError(t, b.apply(set("n:g", "other")).err)
	require.NoError(t, b.apply(within(set("n:g", "k"), "n", quota)).err)
	usage, _ := b.told("n")
	require.Equal(t, kv.Usage{Keys: 2, Groups: 1}, usage)
}

// TestPurgeThatFails: no fact says that it purged, so the reaper asks again
// after a rest and not at once.
func TestPurgeThatFails(t *testing.T) {
	b := start(t, options{})
	require.NoError(t, b.apply(ttl(set("g", "k"), time.Second)).err)
	b.source.Advance(time.Minute)
	b.next("Expired")
	b.mu.Lock()
	before := len(b.mu.facts)
	b.mu.Unlock()
	b.Ref.PurgeExpired()
	b.settle()
	b.settle()
	b.mu.Lock()
	for _, fact := range b.mu.facts[before:] {
		require.False(t, fact.Reaped)
	}
	require.Empty(t, b.mu.background)
	b.mu.Unlock()
	b.Ref.PurgeExpired()
	b.settle()
	b.settle()
	require.False(t, b.has("g", "k"))
}

// TestUndoneReleaseOfAPurge: events of a purge that was undone reach no listener,
// though its neighbours are committed.
func TestUndoneReleaseOfAPurge(t *testing.T) {
	b := start(t, options{})
	require.NoError(t, b.apply(ttl(set("g", "k"), time.Second)).err)
	b.source.Advance(time.Minute)
	b.next("Release")
	b.Ref.PurgeExpired()
	b.settle()
	b.settle()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(t, b.mu.background, "the row is still there")
}
