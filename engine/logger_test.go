package engine

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// stubborn is a log that panics, as a user's may.
type stubborn struct{ slog.Handler }

func (stubborn) Enabled(context.Context, slog.Level) bool { return true }
func (stubborn) Handle(context.Context, slog.Record) error {
	panic("the log is full")
}
func (s stubborn) WithAttrs([]slog.Attr) slog.Handler { return s }
func (s stubborn) WithGroup(string) slog.Handler      { return s }

// TestLogsSayWhatTheyAreGiven, and keep the handler's panics.
func TestLogsSayWhatTheyAreGiven(t *testing.T) {
	var text bytes.Buffer
	logger, logs := startLogs(slog.New(slog.NewTextHandler(&text, nil)))
	logger.With("a", 1).WithGroup("g").Info("said", "b", 2)
	logger.Debug("not asked for")
	logs.stop()
	logs.stop()
	require.Contains(t, text.String(), "msg=said a=1 g.b=2")
	require.NotContains(t, text.String(), "not asked for")
	logger, logs = startLogs(slog.New(stubborn{slog.DiscardHandler}))
	logger.With("a", 1).WithGroup("g").Info("unsaid", "b", 2)
	logs.stop()
	logger, logs = startLogs(nil)
	logger.Info("to nobody")
	logs.stop()
}

// blocking is a log that stands still in every one of its methods.
type blocking struct {
	goOn chan struct{}
	slog.Handler
}

func (b blocking) Enabled(ctx context.Context, level slog.Level) bool {
	<-b.goOn
	return b.Handler.Enabled(ctx, level)
}

func (b blocking) WithAttrs(attrs []slog.Attr) slog.Handler {
	<-b.goOn
	return b.Handler.WithAttrs(attrs)
}

func (b blocking) WithGroup(name string) slog.Handler {
	<-b.goOn
	return b.Handler.WithGroup(name)
}

// TestALogThatBlocksHoldsNobodyUp: what does not fit is dropped, and counted. Close
// waits a moment for it.
func TestALogThatBlocksHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		goOn := make(chan struct{})
		logger, logs := startLogs(slog.New(blocking{goOn, slog.NewTextHandler(&text, nil)}))
		for i := range 2 * logBacklog {
			logger.Info(strconv.Itoa(i) + " said") // of one text a few pass
		}
		logger.With("a", 1).WithGroup("g").Info("said", "b", 2)
		logs.stop() // the fake clock goes on when all else waits
		close(goOn)
		<-logs.ended
		said := bytes.Count(text.Bytes(), []byte(" said\""))
		require.GreaterOrEqual(t, said, logBacklog)
		require.Contains(t, text.String(), "records were dropped")
	})
}

// TestALogMayBlockAndCallTheStore: actors log, and don't wait.
func TestALogMayBlockAndCallTheStore(t *testing.T) {
	goOn := make(chan struct{})
	var once sync.Once
	var e *Engine
	calling := handlerFunc(func(slog.Record) {
		once.Do(func() {
			<-goOn
			_, err := e.Apply(context.Background(), set("log", "k", "v"))
			if err != nil {
				t.Error(err)
			}
		})
	})
	e = open(t, Config{Logger: slog.New(calling)})
	w := e.Watch("", "log", "*")
	quota := kv.QuotaConfig{MaxKeys: 1}
	must(t, e, within(set("n:g", "k", "v"), "n", quota)) // warns
	testkit.Within(t, "the quota actor", func() {
		if _, err := e.Usage(context.Background(), "n"); err != nil {
			t.Error(err)
		}
	})
	close(goOn)
	testkit.Await(t, "the event of the log's own write", w.Events)
}

type handlerFunc func(slog.Record)

func (handlerFunc) Enabled(context.Context, slog.Level) bool { return true }
func (f handlerFunc) Handle(_ context.Context, r slog.Record) error {
	f(r)
	return nil
}
func (f handlerFunc) WithAttrs([]slog.Attr) slog.Handler { return f }
func (f handlerFunc) WithGroup(string) slog.Handler      { return f }

// TestLogsAreNotFlooded: of a text that is said again and again some records pass, those that
// did not are told of with the next one that does, and at the end; other texts pass meanwhile.
func TestLogsAreNotFlooded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		logger, logs := startLogs(slog.New(slog.NewTextHandler(&text, nil)))
		defer logs.stop()
		said := func(what string) int {
			synctest.Wait()
			return strings.Count(text.String(), what)
		}
		for i := range 10 * logBurst {
			logger.With("n", i).Warn("the disk is slow")
		}
		logger.Error("the disk is full")
		require.Equal(t, logBurst, said(`msg="the disk is slow"`))
		require.Equal(t, 1, said(`msg="the disk is full"`))
		require.Zero(t, said("left_out"))
		time.Sleep(logInterval)
		logger.Warn("the disk is slow")
		require.Equal(t, 1, said(fmt.Sprintf("left_out=%d", 9*logBurst)))
		for range logBurst + 2 {
			logger.Warn("the disk is slow")
		}
		logs.stop()
		require.Equal(t, 1, said(`msg="records that were said too often were left out" text="the disk is slow" left_out=3`))
	})
}
