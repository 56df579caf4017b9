package api_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"

	"github.com/stretchr/testify/require"
)

// rotFlips is how many bits of each page are flipped, one at a time.
var rotFlips = flag.Int("rot", 2, "bits of each page that TestBitRot flips")

// rotten is a store as it lies there, and what it says.
type rotten struct {
	files  map[string][]byte // by what follows the database's name
	fields map[string]string
	events []string // of the log
}

const rotKeys = 120

func makeRotten(t *testing.T, killed bool) *rotten {
	path := newPath(t)
	store := openStore(t, path)
	r := &rotten{files: make(map[string][]byte), fields: make(map[string]string)}
	for i := range rotKeys {
		key := fmt.Sprintf("key-%03d", i)
		r.fields[key] = strings.Repeat(key+" ", 4+i%9)
		if i%5 == 0 {
			require.NoError(t, store.SetWithTTL("group", key, r.fields[key], 1000*time.Hour))
		} else {
			require.NoError(t, store.Set("group", key, r.fields[key]))
		}
	}
	r.fields["large"] = strings.Repeat("large value ", 1200) // spills into pages of its own
	require.NoError(t, store.Set("group", "large", r.fields["large"]))
	require.NoError(t, store.Set("group", "gone", "soon"))
	require.NoError(t, store.Delete("group", "gone"))
	events, err := rotEvents(store)
	require.NoError(t, err)
	r.events = events
	suffixes := []string{"", "-lock"}
	if killed {
		suffixes = append(suffixes, "-wal")
	} else {
		require.NoError(t, store.Close())
	}
	for _, suffix := range suffixes {
		content, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		r.files[suffix] = content
	}
	return r
}

// rotEvents is what the log holds, or an error.
func rotEvents(store *api.Store) (all []string, err error) {
	for _, key := range []string{"key-000", "key-017", "key-119", "large", "gone"} {
		for event, err := range store.History("group", key) {
			if err != nil {
				return nil, err
			}
			all = append(all, fmt.Sprint(event.Type, event.Group, event.Key, event.Value, event.Revision, event.ExpiresAt.UnixMilli()))
		}
	}
	return all, nil
}

// What a flipped bit came to.
const (
	rotRefused  = "refused by New"
	rotToldRead = "told by a read"
	rotToldOnly = "found by Check, reads are right"
	rotWrongSay = "found by Check, a read was wrong"
	rotCounted  = "counted by Check as differing from the log"
	rotNothing  = "nothing is wrong"
	rotUnseen   = "unseen: a read was wrong"
)

// judge opens a store with one flipped bit.
func (r *rotten) judge(t *testing.T, files map[string][]byte) string {
	path := filepath.Join(t.TempDir(), "store.db")
	for suffix, content := range files {
		require.NoError(t, os.WriteFile(path+suffix, content, 0o600))
	}
	ended := make(chan string, 1)
	go func() { ended <- r.look(t, path) }()
	select {
	case what := <-ended:
		return what
	case <-time.After(time.Minute):
		t.Fatal("it goes on and on")
		return ""
	}
}

func (r *rotten) look(t *testing.T, path string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	store, err := api.New(path, api.WithDurability(api.DurabilityBuffered))
	if err != nil {
		return rotRefused
	}
	defer func() { _ = store.Close() }()
	store = store.WithContext(ctx)
	told, wrong := false, false
	for key, want := range r.fields {
		got, err := store.Get("group", key)
		told = told || err != nil && !errors.Is(err, api.NotFoundError)
		wrong = wrong || errors.Is(err, api.NotFoundError) || err == nil && got != want
	}
	all, err := store.GetAll("group")
	told, wrong = told || err != nil, wrong || err == nil && !maps.Equal(all, r.fields)
	n, err := store.Count("group")
	told, wrong = told || err != nil, wrong || err == nil && n != len(r.fields)
	events, err := rotEvents(store)
	told = told || err != nil
	if err == nil && !slices.Equal(events, r.events) {
		t.Errorf("the log, which carries checksums, says %v", events)
	}
	report, err := store.Check(ctx)
	found := err != nil || !report.Whole()
	switch {
	case wrong && found:
		return rotWrongSay
	case told:
		return rotToldRead
	case report.Differing > 0:
		return rotCounted
	case wrong:
		return rotUnseen
	case found:
		return rotToldOnly
	default:
		return rotNothing
	}
}

// kinds says what each page of a database is part of.
func (r *rotten) kinds(t *testing.T) map[int]string {
	path := filepath.Join(t.TempDir(), "store.db")
	require.NoError(t, os.WriteFile(path, r.files[""], 0o600))
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()
	rows, err := db.Query("SELECT pageno, name, pagetype FROM dbstat")
	require.NoError(t, err)
	kinds := make(map[int]string)
	for rows.Next() {
		var number int
		var name, kind string
		require.NoError(t, rows.Scan(&number, &name, &kind))
		kinds[number] = name
	}
	require.NoError(t, rows.Err())
	return kinds
}

func flipped(content []byte, bit int) []byte {
	content = slices.Clone(content)
	content[bit/8] ^= 1 << (bit % 8)
	return content
}

// TestBitRot flips one bit of a store at a time: in every page of a closed one, and all
// over the WAL of one that was killed. What carries a checksum is right or an error,
// always; what comes of the rest is counted (docs/adr/0047).
func TestBitRot(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 47))
	outcomes := make(map[string]map[string]int)
	count := func(kind, outcome string) {
		if outcomes[kind] == nil {
			outcomes[kind] = make(map[string]int)
		}
		outcomes[kind][outcome]++
	}
	closed := makeRotten(t, false)
	kinds := closed.kinds(t)
	const page = 4096
	for number := range len(closed.files[""]) / page {
		kind := kinds[number+1]
		if kind == "" {
			kind = "free"
		}
		for range *rotFlips {
			bit := number*page*8 + random.IntN(page*8)
			outcome := closed.judge(t, map[string][]byte{"": flipped(closed.files[""], bit), "-lock": closed.files["-lock"]})
			count(kind, outcome)
			if (kind == "log" || kind == "free") && (outcome == rotUnseen || outcome == rotWrongSay) {
				t.Errorf("bit %d of page %d (%s): %s", bit-number*page*8, number+1, kind, outcome)
			}
		}
	}
	killed := makeRotten(t, true)
	wal := killed.files["-wal"]
	for range 16 * *rotFlips {
		bit := random.IntN(len(wal) * 8)
		files := maps.Clone(killed.files)
		files["-wal"] = flipped(wal, bit)
		outcome := killed.judge(t, files)
		count("-wal", outcome)
		if outcome != rotRefused && outcome != rotNothing {
			t.Errorf("bit %d of the WAL: %s", bit, outcome)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(outcomes)) {
		t.Logf("%-28s %v", kind, outcomes[kind])
	}
	require.Zero(t, outcomes["sqlite_schema"][rotUnseen])
}

// What the log still tells of is compared with the entries: whatever the store itself
// does agrees; what another program has written is counted, and no damage.
func TestCheckCountsWhatDiffersFromTheLog(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
	require.NoError(t, store.Set("g", "a", "1"))
	require.NoError(t, store.Set("g", "a", "2"))
	require.NoError(t, store.SetWithTTL("g", "b", "v", time.Hour))
	require.NoError(t, store.SetAll([]api.Item{{Group: "g", Key: "c", Value: "first"}, {Group: "g", Key: "c", Value: "second"}, {Group: "h", Key: "c", Value: "x"}}))
	_, err := store.Increment("g", "n", 5)
	require.NoError(t, err)
	require.NoError(t, store.Touch("g", "b", 2*time.Hour))
	require.NoError(t, store.Persist("g", "b"))
	require.NoError(t, store.Delete("g", "a"))
	require.NoError(t, store.Set("g", "a", "3"))
	require.NoError(t, store.DeleteGroup("h"))
	require.NoError(t, store.Transaction(func(tx *api.Transaction) error {
		return errors.Join(tx.Set("t", "a", "1"), tx.Set("t", "a", "2"), tx.Delete("t", "b"), tx.Set("t", "b", "3"))
	}))
	report, err := store.Check(context.Background())
	require.NoError(t, err)
	require.True(t, report.Whole())
	require.Zero(t, report.Differing)
	require.NoError(t, store.Close())
	execute(t, path, "UPDATE entries SET entry_value = 'theirs' WHERE entry_key = 'a'", "UPDATE entries SET expires_at = 99 WHERE entry_key = 'n'")
	report, err = openStore(t, path, api.WithReadOnly()).Check(context.Background())
	require.NoError(t, err)
	require.True(t, report.Whole(), "%v", report.Findings)
	require.Equal(t, int64(3), report.Differing)
}
