package engine

import (
	"context"
	"log/slog"
)

// guarded keeps a panic of the user's log handler out of the actors, which log
// where nothing may fail.
type guarded struct{ slog.Handler }

func guard(logger *slog.Logger) *slog.Logger { return slog.New(guarded{logger.Handler()}) }

func (g guarded) Enabled(ctx context.Context, level slog.Level) (enabled bool) {
	defer func() { _ = recover() }()
	return g.Handler.Enabled(ctx, level)
}

func (g guarded) Handle(ctx context.Context, record slog.Record) (err error) {
	defer func() { _ = recover() }()
	return g.Handler.Handle(ctx, record)
}

func (g guarded) WithAttrs(attrs []slog.Attr) slog.Handler {
	return guarded{g.Handler.WithAttrs(attrs)}
}

func (g guarded) WithGroup(name string) slog.Handler { return guarded{g.Handler.WithGroup(name)} }
