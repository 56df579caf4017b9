package demo

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"forge.lthn.ai/core/go-store/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func path(t *testing.T) string { return filepath.Join(t.TempDir(), "demo.db") }

// change alters a database while the demo has it closed.
func change(t *testing.T, path string, alter func(*api.Store)) func() {
	return func() {
		store, err := api.New(path)
		require.NoError(t, err)
		alter(store)
		require.NoError(t, store.Close())
	}
}

func TestRun_KeepsEveryPromise(t *testing.T) {
	result, err := Run(context.Background(), Config{Path: path(t), Duration: time.Second})
	require.NoError(t, err)
	assert.Empty(t, result.Broken)
	assert.Zero(t, result.Lost)
	assert.Equal(t, result.Acknowledged, result.Verified)
	assert.Equal(t, result.Acknowledged+result.Expired, result.Events+result.Dropped)
	assert.NotZero(t, result.Expired)
	assert.NotZero(t, result.Refused)
	assert.NotZero(t, result.Gets)

	var table strings.Builder
	require.NoError(t, result.Print(&table))
	assert.Contains(t, table.String(), "writes verified")
	assert.NotContains(t, table.String(), "BROKEN")
}

func TestRun_FindsWhatIsMissing(t *testing.T) {
	db := path(t)
	result, err := Run(context.Background(), Config{Path: db, Duration: 200 * time.Millisecond,
		whileClosed: change(t, db, func(store *api.Store) {
			require.NoError(t, store.Delete("tcp", "443"))                                   // a loss
			require.NoError(t, store.Set("udp", "53", "domain: Domain Name Server #7"))      // a write that nobody made
			require.NoError(t, store.Set("sctp", "80", "somebody else's value"))             // nor this one
			require.NoError(t, store.Set("strangers", "in the night", "exchanging glances")) // a key that nobody wrote
		})})
	require.NoError(t, err)
	assert.EqualValues(t, 3, result.Lost)
	assert.Equal(t, result.Acknowledged, result.Verified+result.Lost)
	assert.Equal(t, 4, result.BrokenCount)
	found := strings.Join(result.Broken, "\n")
	assert.Contains(t, found, "tcp/443: not found, though write 1 was acknowledged")
	assert.Contains(t, found, "udp/53: found write 7, the last that may show is 1")
	assert.Contains(t, found, "sctp/80: found \"somebody else's value\", which nobody wrote")
	assert.Contains(t, found, "strangers/in the night: a row that ought not to be there")

	var table strings.Builder
	require.NoError(t, result.Print(&table))
	assert.Contains(t, table.String(), "BROKEN: ")
}

func TestRun_InterruptedEarly(t *testing.T) {
	ctx, interrupt := context.WithCancel(context.Background())
	var once sync.Once
	began := time.Now()
	result, err := Run(ctx, Config{Path: path(t), Duration: time.Hour,
		Progress: func(time.Duration) { once.Do(interrupt) }})
	require.NoError(t, err)
	assert.Less(t, time.Since(began), time.Minute)
	assert.Empty(t, result.Broken)
	assert.NotZero(t, result.Acknowledged)
	assert.Equal(t, result.Acknowledged, result.Verified)
}

func TestLoad_ACallThatFails(t *testing.T) {
	db := path(t)
	store, err := api.New(db)
	require.NoError(t, err)
	l := newLoad(store)
	err = l.run(context.Background(), Config{Duration: time.Minute,
		Progress: func(time.Duration) { _ = store.Close() }})
	assert.ErrorIs(t, err, api.ClosedError)

	store, err = api.New(db)
	require.NoError(t, err)
	l.verify(store, true)
	require.NoError(t, store.Close())
	result := l.finish()
	assert.Zero(t, result.Lost, result.Broken)
	assert.Equal(t, result.Acknowledged, result.Verified)
	assert.NotZero(t, result.Verified)
}

func TestRun_APathThatCannotBeOpened(t *testing.T) {
	_, err := Run(context.Background(), Config{Path: filepath.Join(t.TempDir(), "missing", "demo.db"), Duration: time.Second})
	assert.Error(t, err)
}
