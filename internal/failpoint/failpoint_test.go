package failpoint_test

import (
	"testing"

	"forge.lthn.ai/core/go-store/internal/failpoint"

	"github.com/stretchr/testify/require"
)

func TestHit(t *testing.T) {
	var none failpoint.Hook
	require.NotPanics(t, func() { none.Hit("step") }, "outside tests there is no hook")

	var steps []string
	hook := failpoint.Hook(func(step string) { steps = append(steps, step) })
	hook.Hit("a")
	hook.Hit("b")
	require.Equal(t, []string{"a", "b"}, steps)

	failing := failpoint.Hook(func(step string) { panic(step) })
	require.PanicsWithValue(t, "c", func() { failing.Hit("c") })
}

func TestNoHookAllocatesNothing(t *testing.T) {
	var none failpoint.Hook
	require.Zero(t, testing.AllocsPerRun(100, func() { none.Hit("step") }))
}
