package store

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"forge.lthn.ai/core/go-store/bench"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every workload runs to its end on the store, on disk and in memory, and finds
// no fault with it.
func TestEveryWorkload(t *testing.T) {
	plan := bench.DefaultPlan()
	plan.Callers, plan.Keys, plan.Expiring = []int{4}, 200, 200
	plan.Workloads = slices.DeleteFunc(bench.Workloads(), func(w bench.Workload) bool {
		return w.Name == "watch-10000" // watch-100, but for seconds
	})
	plan.Rounds, plan.Round, plan.WarmUp, plan.Folder = 1, 20*time.Millisecond, time.Millisecond, t.TempDir()
	result, err := bench.Run(context.Background(), plan, []bench.Contender{Contender(Buffered), Direct(), Contender(Memory)}, nil)
	require.NoError(t, err)
	assert.Empty(t, result.Failures())

	cannot := make(map[string]string)
	for _, cell := range result.Cells {
		if cell.Cannot != "" {
			cannot[cell.Workload+", "+cell.Contender] = cell.Cannot
			continue
		}
		assert.Len(t, cell.Rounds, 1, "%s, %s", cell.Workload, cell.Contender)
		switch {
		case cell.Workload == "set":
			assert.NotEmpty(t, cell.Batches)
		case cell.Workload == "ttl":
			assert.EqualValues(t, 200, cell.Expiry.Received)
			assert.Positive(t, cell.Expiry.Latency.P50)
		case cell.Delivery != nil:
			assert.EqualValues(t, cell.Delivery.Expected, cell.Delivery.Received+cell.Delivery.Dropped)
			assert.False(t, cell.Delivery.Silent)
		}
	}
	assert.Equal(t, map[string]string{"get-cold, store-memory": "nothing of it is left after Close"}, cannot)
}

func TestContender_Levels(t *testing.T) {
	for _, level := range Levels {
		c := Contender(level)
		assert.NotEmpty(t, c.Durability)
		folder := t.TempDir()
		target, err := c.Open(folder, bench.Settings{})
		require.NoError(t, err)
		require.NoError(t, target.Set("g", "k", "v"))
		require.NoError(t, target.Close())
		target, err = c.Open(folder, bench.Settings{})
		require.NoError(t, err)
		_, found, err := target.(bench.Getter).Get("g", "k")
		require.NoError(t, err)
		assert.Equal(t, !c.Ephemeral, found)
		require.NoError(t, target.Close())
	}
}
