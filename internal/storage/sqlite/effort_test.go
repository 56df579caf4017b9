package sqlite

import (
	"runtime"
	"strconv"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit/report"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Many statements of one transaction, each of them short, are no table without an end:
// the bound is one statement's.
func TestManyShortStatementsHaveAnEnd(t *testing.T) {
	t.Cleanup(func(least int64) func() { return func() { leastEffort = least } }(leastEffort))
	leastEffort = effortUnit                                    // so that fewer statements are as many as it takes
	d := openWith(t, Config{Path: temporary(t), NoPages: true}) // or reads would be none of SQLite's statements
	require.NoError(t, write(d, row("g", "k", "v")))
	s, err := d.Snapshot(background)
	require.NoError(t, err)
	defer s.Close()
	fill := d.Writer()
	require.NoError(t, fill.Begin())
	for i := range report.Rounds(300_000, 600_000, 1_500_000) {
		if err := fill.Upsert(kv.Row{Group: "h", Key: strconv.Itoa(i % 1000), Deadline: kv.NoDeadline, Revision: 1}); err != nil {
			require.NoError(t, err, i)
		}
	}
	require.NoError(t, fill.Rollback())
	for i := range report.Rounds(700_000, 800_000, 2_000_000) {
		if _, found, err := s.Get(background, "g", "k"); err != nil || !found {
			require.NoError(t, err, i)
			require.True(t, found)
		}
	}
}

// What SQLite calls must be there as long as the connection is.
func TestTheBoundOfAnOperationIsKept(t *testing.T) {
	t.Cleanup(func(least int64) func() { return func() { leastEffort = least } }(leastEffort))
	leastEffort = effortUnit
	d := open(t, temporary(t))
	conn, closing, err := d.openAside(background)
	require.NoError(t, err)
	defer func() { assert.NoError(t, closing()) }()
	for range 5 {
		runtime.GC()
	}
	waste := make([]*[2]*int, 0, 1<<16)
	for range 1 << 16 {
		waste = append(waste, new([2]*int))
	}
	_, err = queryInt(conn, endless)
	assert.Error(t, err)
	runtime.KeepAlive(waste)
}
