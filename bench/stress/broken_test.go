package stress

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bounded is a run of so many steps in all, the same in every run but for the
// interleaving.
func bounded(steps int) Config { return Config{Seed: 1, Callers: 16, Steps: steps / 16} }

func openTarget(t *testing.T, path string) Target {
	target, err := Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, target.Close()) })
	return target
}

// dropper acknowledges one write in 10,000 without making it.
type dropper struct {
	Target
	writes atomic.Uint64
}

func (d *dropper) Do(call Call) Answer {
	if call.Kind.Writes() && d.writes.Add(1)%10_000 == 5_000 {
		return Answer{}
	}
	return d.Target.Do(call)
}

func TestRun_CatchesALostWrite(t *testing.T) {
	target := &dropper{Target: openTarget(t, ":memory:")}
	result := Run(context.Background(), target, bounded(30_000))
	assert.NotZero(t, result.Violations[LostWrite], result.Findings)
	assert.NotZero(t, result.Violations[EventMissing], result.Findings)
}

func TestRun_AHealthyStorePasses(t *testing.T) {
	result := Run(context.Background(), openTarget(t, ":memory:"), bounded(30_000))
	assert.Empty(t, result.Findings)
	assert.EqualValues(t, 30_000, result.Steps)
}
