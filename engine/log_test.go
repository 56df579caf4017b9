package engine

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
	lib "modernc.org/sqlite/lib"
)

// replay does what events say to a map, as a reader would that has nothing but
// the log.
func replay(state map[kv.Key]kv.Row, events []kv.Event) error {
	for _, e := range events {
		place := kv.Key{Group: e.Group, Key: e.Key}
		was, found := state[place]
		switch e.Type {
		case kv.EventSet:
			state[place] = kv.Row{Group: e.Group, Key: e.Key, Value: e.Value, Deadline: deadlineOf(e), Revision: e.Revision}
			continue
		case kv.EventDeleteGroup:
			size := len(state)
			maps.DeleteFunc(state, func(p kv.Key, _ kv.Row) bool { return p.Group == e.Group })
			if len(state) == size {
				return fmt.Errorf("revision %d deletes group %q, which is empty", e.Revision, e.Group)
			}
			continue
		case kv.EventExpire:
			if was.Value != e.Value || was.Deadline > e.Timestamp.UnixMilli() {
				return fmt.Errorf("revision %d expires %v, which held %v until %d", e.Revision, e, was, was.Deadline)
			}
		}
		if !found {
			return fmt.Errorf("revision %d removes %v, which is not there", e.Revision, place)
		}
		delete(state, place)
	}
	return nil
}

// verifyReplay compares every row of the store, dead ones too, with what the log
// alone makes of an empty one: value, deadline and revision.
func verifyReplay(t *testing.T, e *Engine) {
	t.Helper()
	snapshot, err := e.database.Snapshot(context.Background())
	require.NoError(t, err)
	defer snapshot.Close()
	stored := make(map[kv.Key]kv.Row)
	for row, err := range snapshot.Scan(context.Background(), storage.Query{Groups: kv.PrefixRange(""), Keys: storage.AllKeys}, math.MinInt64) {
		require.NoError(t, err)
		stored[kv.Key{Group: row.Group, Key: row.Key}] = row
	}
	events := readLog(t, e)
	for i, event := range events { // writes go on while this looks
		if event.Revision > snapshot.Revision() {
			events = events[:i]
			break
		}
	}
	replayed := make(map[kv.Key]kv.Row)
	require.NoError(t, replay(replayed, events))
	require.Equal(t, stored, replayed)
}

// TestTheLogIsWhatHappened: after any operations the log alone gives the store,
// in memory and on a file, across restarts.
func TestTheLogIsWhatHappened(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		source, random := testkit.NewClock(), rand.New(rand.NewPCG(7, 7))
		config := Config{Path: path, Clock: source, Durability: kv.DurabilityBuffered, PurgeInterval: time.Second}
		e := open(t, config)
		var revision uint64
		done := make(map[kv.Kind]int)
		for i := range 600 {
			m := randomMutation(random, i)
			outcome, err := apply(t, e, m)
			if err == nil {
				done[m.Kind]++
			}
			if outcome.Revision != 0 {
				require.Greater(t, outcome.Revision, revision) // a purge may have come between
				revision = outcome.Revision
			}
			source.Advance(time.Duration(random.IntN(200)) * time.Millisecond)
			if i%100 == 99 {
				verifyReplay(t, e)
				if path != ":memory:" {
					closeNow(t, e)
					e = open(t, config)
					verifyReplay(t, e)
				}
			}
		}
		for kind := kv.Set; kind <= kv.Batch; kind++ {
			require.Greater(t, done[kind], 5, "kind %d", kind)
		}
	})
}

// randomMutation is any, on few keys, so that they meet each other.
func randomMutation(random *rand.Rand, serial int) kv.Mutation {
	if random.IntN(8) == 0 {
		return kv.Mutation{Kind: kv.PurgeExpired, Range: kv.PrefixRange(fmt.Sprint("g", random.IntN(3))), Limit: 1 + random.IntN(3)}
	}
	if random.IntN(4) > 0 {
		o := randomOperation(random, serial)
		return kv.Mutation{Kind: o.Kind, Group: o.Group, Key: o.Key, Value: o.Value, HasTTL: o.HasTTL, TimeToLive: o.TimeToLive,
			Notifies: o.Notifies, Notify: o.Notify, Delta: o.Delta, Range: o.Range}
	}
	m := kv.Mutation{Kind: kv.Batch}
	for range random.IntN(5) {
		m.Operations = append(m.Operations, randomOperation(random, serial))
	}
	return m
}

func randomOperation(random *rand.Rand, serial int) kv.Operation {
	o := kv.Operation{Group: fmt.Sprint("g", random.IntN(3)), Key: fmt.Sprint("k", random.IntN(5))}
	o.HasTTL, o.TimeToLive = random.IntN(2) == 0, time.Duration(random.IntN(3000)-200)*time.Millisecond
	switch random.IntN(13) {
	case 12:
		o.Kind, o.Value = kv.Tell, strconv.Itoa(serial)
	case 0:
		o.Kind = kv.DeleteGroup
	case 1:
		o.Kind, o.Range = kv.DeletePrefix, kv.PrefixRange(fmt.Sprint("g", random.IntN(3)))
	case 2, 3:
		o.Kind = kv.Delete
	case 4, 5:
		o.Kind = kv.Touch
	case 6, 7:
		o.Kind, o.Delta = kv.Increment, int64(random.IntN(10))
	default:
		o.Value = strconv.Itoa(serial)
		if o.HasTTL && random.IntN(2) == 0 {
			o.Notifies, o.Notify = true, fmt.Sprint("a", random.IntN(2))
		}
	}
	return o
}

// TestRevisionsAfterFaultsOfTheDisk: commits of unknown outcome and others that
// failed leave no hole in the revisions, no revision twice, and a log that is
// what happened, now and after a restart.
func TestRevisionsAfterFaultsOfTheDisk(t *testing.T) {
	for name, fault := range map[string]func(t *testing.T) (heal func()){
		"sync": func(t *testing.T) func() { return failDisk(t, nil, times(1, lib.SQLITE_IOERR_FSYNC)) },
		"full": func(t *testing.T) func() { return failDisk(t, times(1, lib.SQLITE_FULL), nil) },
		"torn": func(t *testing.T) func() { return failDisk(t, times(1, lib.SQLITE_IOERR_WRITE), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.db")
			e := open(t, Config{Path: path})
			for round := range 4 {
				must(t, e, set("g", "before", strconv.Itoa(round)))
				heal := fault(t)
				_, err := apply(t, e, set("g", fmt.Sprint("k", round), "v"))
				require.Error(t, err)
				heal()
				before, err := e.Revision(t.Context())
				require.NoError(t, err)
				require.Equal(t, before+1, must(t, e, set("g", "after", strconv.Itoa(round))).Revision)
				verifyReplay(t, e)
			}
			closeNow(t, e)
			verifyReplay(t, open(t, Config{Path: path}))
		})
	}
}

// deadlineOf is the inverse of kv.DeadlineTime.
func deadlineOf(e kv.Event) int64 {
	if e.ExpiresAt.IsZero() {
		return kv.NoDeadline
	}
	return e.ExpiresAt.UnixMilli()
}
