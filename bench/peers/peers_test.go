package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/bench"
)

// A comparison with an adapter that does not do what it says would be worth
// nothing. Each contender is asked to do what it claims, and asked again after
// it was opened anew.
func TestContenders_DoWhatTheyClaim(t *testing.T) {
	for _, contender := range contenders() {
		t.Run(contender.Name, func(t *testing.T) {
			assert.NotEmpty(t, contender.Durability)
			folder := t.TempDir()
			target := open(t, contender, folder)
			require.NoError(t, target.Set("g", "b", "old"))
			require.NoError(t, target.Set("g", "b", "2"))
			require.NoError(t, target.Set("h", "b", "other group"))
			if loader, ok := target.(bench.Loader); ok {
				require.NoError(t, loader.Load([]bench.Item{{Group: "g", Key: "a", Value: "1"}, {Group: "g", Key: "c", Value: "3"}}))
			}
			if _, reads := target.(bench.Getter); !reads {
				require.NoError(t, target.Close())
				return
			}
			check(t, target)
			if contender.Ephemeral {
				assert.Equal(t, nothing, contender.Durability)
			} else {
				require.NoError(t, target.Close())
				target = open(t, contender, folder)
				check(t, target)
			}
			deletes(t, target)
			transacts(t, target)
			stop := watches(t, target)
			require.NoError(t, target.Close())
			stop()
		})
	}
}

func open(t *testing.T, contender bench.Contender, folder string) bench.Target {
	t.Helper()
	target, err := contender.Open(folder, bench.Settings{})
	require.NoError(t, err)
	return target
}

// check looks for what the test wrote: a, b and c in g.
func check(t *testing.T, target bench.Target) {
	t.Helper()
	expect(t, target, "g", "b", "2")
	expect(t, target, "g", "c", "3")
	_, found, err := target.(bench.Getter).Get("g", "d")
	require.NoError(t, err)
	assert.False(t, found)

	if lister, ok := target.(bench.Lister); ok {
		all, err := lister.GetAll("g")
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"a": "1", "b": "2", "c": "3"}, all)
	}
	if pager, ok := target.(bench.Pager); ok {
		for _, page := range []struct{ offset, limit, want int }{{0, 2, 2}, {2, 2, 1}, {5, 2, 0}, {0, 9, 3}} {
			n, err := pager.Page("g", page.offset, page.limit)
			require.NoError(t, err)
			assert.Equal(t, page.want, n, page)
		}
	}
	if scanner, ok := target.(bench.Scanner); ok {
		for from, want := range map[string]int{"": 2, "a": 2, "b": 2, "bb": 1, "c": 1, "d": 0} {
			n, err := scanner.Scan("g", from, 2)
			require.NoError(t, err)
			assert.Equal(t, want, n, from)
		}
	}
}

func expect(t *testing.T, target bench.Target, group, key, want string) {
	t.Helper()
	value, found, err := target.(bench.Getter).Get(group, key)
	require.NoError(t, err)
	assert.True(t, found)
	assert.Equal(t, want, value)
}

func deletes(t *testing.T, target bench.Target) {
	t.Helper()
	if deleter, ok := target.(bench.Deleter); ok {
		require.NoError(t, deleter.Delete("g", "a"))
		require.NoError(t, deleter.Delete("g", "a"), "again is no error")
		_, found, err := target.(bench.Getter).Get("g", "a")
		require.NoError(t, err)
		assert.False(t, found)
	}
	if deleter, ok := target.(bench.GroupDeleter); ok {
		require.NoError(t, deleter.DeleteGroup("g"))
		_, found, err := target.(bench.Getter).Get("g", "b")
		require.NoError(t, err)
		assert.False(t, found)
		expect(t, target, "h", "b", "other group")
	}
}

func transacts(t *testing.T, target bench.Target) {
	t.Helper()
	transactor, ok := target.(bench.Transactor)
	if !ok {
		return
	}
	require.NoError(t, transactor.Transaction(func(tx bench.Transaction) error {
		value, found, err := tx.Get("h", "b")
		require.NoError(t, err)
		require.True(t, found)
		return tx.Set("h", "c", value+", copied")
	}))
	expect(t, target, "h", "c", "other group, copied")
	failure := fmt.Errorf("no")
	require.ErrorIs(t, transactor.Transaction(func(tx bench.Transaction) error {
		require.NoError(t, tx.Set("h", "c", "never"))
		return failure
	}), failure)
	expect(t, target, "h", "c", "other group, copied")
}

// watches returns what ends the watcher after Close, as the harness does.
func watches(t *testing.T, target bench.Target) (stop func()) {
	t.Helper()
	watcher, ok := target.(bench.Watcher)
	if !ok {
		return func() {}
	}
	received := make(chan string, 16)
	end, err := watcher.Watch("h", "b", func(value string) { received <- value })
	require.NoError(t, err)
	require.NoError(t, target.Set("h", "z", "not watched"))
	require.NoError(t, target.Set("h", "b", "seen"))
	assert.Equal(t, "seen", <-received)
	return func() {
		t.Helper()
		if dropped, err := end(); !errors.Is(err, bench.DropsUncountedError) {
			require.NoError(t, err)
			assert.Zero(t, dropped)
		}
		assert.Empty(t, received)
	}
}

// The original's design must be as durable as our default, and no slower than
// it was.
func TestSeed_IsTheSeed(t *testing.T) {
	seed, err := openSeed(filepath.Join(t.TempDir(), "seed.db"))
	require.NoError(t, err)
	defer seed.Close()
	var mode string
	var synchronous int
	require.NoError(t, seed.database.QueryRow(`PRAGMA journal_mode`).Scan(&mode))
	require.NoError(t, seed.database.QueryRow(`PRAGMA synchronous`).Scan(&synchronous))
	assert.Equal(t, "wal", mode)
	assert.Equal(t, 2, synchronous, "FULL: an fsync each commit")

	scope, err := seed.Scope("n", 2, 1)
	require.NoError(t, err)
	require.NoError(t, scope.Set("g", "a", "1"))
	assert.ErrorIs(t, scope.Set("h", "a", "1"), errSeedQuota, "a second group")
	require.NoError(t, scope.Set("g", "b", "1"))
	assert.ErrorIs(t, scope.Set("g", "c", "1"), errSeedQuota, "a third key")
	require.NoError(t, scope.Set("g", "a", "2"), "an upsert does not count")
}

// What a server acknowledges before it is on the disk would be compared with what is.
func TestNats_SyncsEachWrite(t *testing.T) {
	opened, err := openNats(t.TempDir(), bench.Settings{})
	require.NoError(t, err)
	target := opened.(*natsTarget)
	defer func() { require.NoError(t, target.Close()) }()
	assert.True(t, target.server.JetStreamConfig().SyncAlways)
	assert.Nil(t, target.server.Addr(), "there is no port")
	status, err := target.bucket.Status(context.Background())
	require.NoError(t, err)
	assert.EqualValues(t, 1, status.History())
	stream := status.(*jetstream.KeyValueBucketStatus).StreamInfo().Config
	assert.Equal(t, jetstream.FileStorage, stream.Storage)
	assert.Equal(t, 1, stream.Replicas, "with more, the log that they share is what is synced")
	assert.Equal(t, jetstream.DefaultPersistMode, stream.PersistMode, "the other one syncs later")
}

func invoke(arguments ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(context.Background(), arguments, &out, &err)
	return code, out.String(), err.String()
}

func TestRun_EveryStore(t *testing.T) {
	code, stdout, stderr := invoke("--quick", "--for", "2s", "--rounds", "1", "--workloads", "set,mixed,getall,ttl,transaction",
		"--callers", "2", "--keys", "100", "--expiring", "50", "--folder", t.TempDir())
	require.Equal(t, succeeded, code, stderr)
	for _, c := range durable() {
		assert.Contains(t, stdout, c.Name)
	}
	assert.NotContains(t, stdout, "store-direct")
	for _, c := range inMemory() {
		assert.NotContains(t, stdout, c.Name, "it is not as durable as the others")
	}
	assert.Contains(t, stdout, "can't: no key expires")
	assert.NotContains(t, stdout, "FAILED")
}

func TestRun_InMemory(t *testing.T) {
	code, stdout, stderr := invoke("--quick", "--for", "1s", "--rounds", "1", "--stores", "store-memory,buntdb-memory", "--workloads", "set,get-hot,get-cold",
		"--callers", "1", "--keys", "100", "--folder", t.TempDir())
	require.Equal(t, succeeded, code, stderr)
	assert.Contains(t, stdout, "buntdb-memory")
	assert.Contains(t, stdout, "nothing of it is left after Close")
	assert.NotContains(t, stdout, "FAILED")
}

func TestRun_Misuse(t *testing.T) {
	for want, arguments := range map[string][]string{
		"--quick and --full: give one of them; see --help":   {"--quick", "--full"},
		`--stores "mysql": name each once; there are store-`: {"--stores", "mysql"},
		`--stores "seed": name each once`:                    {"--stores", "seed,seed"},
		`"quick": there are no arguments, only flags`:        {"quick"},
		"unknown flag: --fast":                               {"--fast"},
		`--workloads: no workload "x"`:                       {"--workloads", "x"},
	} {
		code, stdout, stderr := invoke(arguments...)
		assert.Equal(t, misused, code, arguments)
		assert.Empty(t, stdout)
		assert.True(t, strings.HasPrefix(stderr, "peers: "+want), stderr)
	}
	code, stdout, _ := invoke("--help")
	assert.Equal(t, succeeded, code)
	assert.Contains(t, stdout, "--stores")
}

func TestContenders_HaveNamesOfTheirOwn(t *testing.T) {
	names := allNames()
	slices.Sort(names)
	assert.Len(t, slices.Compact(names), len(contenders()))
}
