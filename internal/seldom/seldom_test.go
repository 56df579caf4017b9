package seldom_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/internal/seldom"
)

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := seldom.New(2, time.Minute)
		passed := func(n int) (passed int, left uint64) {
			for range n {
				if l, ok := limit.Allow(); ok {
					passed, left = passed+1, left+l
				}
			}
			return passed, left
		}
		n, left := passed(10)
		require.Equal(t, []any{2, uint64(0)}, []any{n, left})
		time.Sleep(time.Minute - 1)
		n, _ = passed(1)
		require.Zero(t, n)
		time.Sleep(time.Nanosecond)
		n, left = passed(3)
		require.Equal(t, []any{2, uint64(9)}, []any{n, left}, "those of the minute before are told of once")
		require.EqualValues(t, 1, limit.Left())
		require.Zero(t, limit.Left())
	})
}

func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		logger, limit := slog.New(slog.NewTextHandler(&text, nil)), seldom.New(1, time.Second)
		for range 5 {
			limit.Log(logger, slog.LevelWarn, "the disk is slow", slog.Int("n", 1))
		}
		time.Sleep(time.Second)
		limit.Log(logger, slog.LevelWarn, "the disk is slow")
		lines := strings.Split(strings.TrimSpace(text.String()), "\n")
		require.Len(t, lines, 2)
		require.NotContains(t, lines[0], seldom.LeftOut)
		require.Contains(t, lines[1], seldom.LeftOut+"=4")
	})
}
