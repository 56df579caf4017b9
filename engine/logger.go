package engine

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/internal/seldom"
)

const (
	// logBacklog is how many log records wait for the user's handler before more
	// are dropped.
	logBacklog = 256
	// logTurn is how long a goroutine that logs waits for the handler to have taken the record,
	// so that what it does is seen in order with what the store does. After one that
	// has waited in vain none waits, until the handler has caught up.
	logTurn = 10 * time.Millisecond
	// logPatience is how long Close waits for the handler to take the last ones.
	logPatience = time.Second
	// logBurst is how many records of the same text come in logInterval before more are left
	// out. What is well says nothing ten times; what is not could say it at every commit.
	logBurst    = 20
	logInterval = 10 * time.Second
	// logTexts bounds how many texts are told apart. They are constants of the program.
	logTexts = 1024
)

// logs hands log records to the user's handler on a goroutine of its own: the actors
// log where nothing may fail and no other code may be waited for, and a handler is the user's
// code. It may block, panic, or call the store.
type logs struct {
	handler slog.Handler
	queue   chan logged
	dropped atomic.Int64
	late    atomic.Bool // the handler is not waited for
	ending  chan struct{}
	ended   chan struct{}
	end     sync.Once
	said    sync.Map // of the texts that were logged, a *seldom.Limit
	texts   atomic.Int64
}

// logged is one record; handler makes of the user's what it is to go to.
type logged struct {
	record  slog.Record
	handler func(slog.Handler) slog.Handler
	taken   chan struct{} // closed when the handler has taken it; nil: no goroutine waits
}

// startLogs makes the logger that the store is to use of the user's. Without one there
// is nothing to do.
func startLogs(logger *slog.Logger) (*slog.Logger, *logs) {
	if logger == nil || logger.Handler() == slog.DiscardHandler {
		return slog.New(slog.DiscardHandler), nil
	}
	l := &logs{handler: logger.Handler(), queue: make(chan logged, logBacklog),
		ending: make(chan struct{}), ended: make(chan struct{})}
	go l.run()
	return slog.New(queued{logs: l, with: func(h slog.Handler) slog.Handler { return h }}), l
}

// stop has the handler take what it was given, for as long as logPatience.
func (l *logs) stop() {
	if l == nil {
		return
	}
	l.end.Do(func() {
		l.confessLeft()
		close(l.ending)
	})
	timer := time.NewTimer(logPatience)
	defer timer.Stop()
	select {
	case <-l.ended:
	case <-timer.C:
	}
}

func (l *logs) run() {
	defer close(l.ended)
	for {
		select {
		case r := <-l.queue:
			l.pass(r)
			continue
		default:
		}
		l.confess()
		l.late.Store(false)
		select {
		case r := <-l.queue:
			l.pass(r)
		case <-l.ending:
			for {
				select {
				case r := <-l.queue:
					l.pass(r)
				default:
					l.confess()
					return
				}
			}
		}
	}
}

// pass gives a record to the handler, whose panics are its own.
func (l *logs) pass(r logged) {
	defer func() {
		_ = recover()
		if r.taken != nil {
			close(r.taken)
		}
	}()
	ctx := context.Background()
	if handler := r.handler(l.handler); handler.Enabled(ctx, r.record.Level) {
		_ = handler.Handle(ctx, r.record)
	}
}

// confess says how many records were dropped, once there is room again.
func (l *logs) confess() {
	if n := l.dropped.Swap(0); n > 0 {
		record := slog.NewRecord(time.Now(), slog.LevelWarn, "the log handler is too slow: records were dropped", 0)
		record.AddAttrs(slog.Int64("records", n))
		l.pass(logged{record: record, handler: func(h slog.Handler) slog.Handler { return h }})
	}
}

// seldom reports whether a record is to be passed on, and notes in it how many of its kind were
// left out before.
func (l *logs) seldom(record *slog.Record) bool {
	limit, known := l.said.Load(record.Message)
	if !known {
		if l.texts.Add(1) > logTexts {
			return true
		}
		limit, _ = l.said.LoadOrStore(record.Message, seldom.New(logBurst, logInterval))
	}
	left, ok := limit.(*seldom.Limit).Allow()
	if ok && left > 0 {
		record.AddAttrs(slog.Uint64(seldom.LeftOut, left))
	}
	return ok
}

// confessLeft says what was left out and not spoken of since.
func (l *logs) confessLeft() {
	l.said.Range(func(text, limit any) bool {
		if left := limit.(*seldom.Limit).Left(); left > 0 {
			record := slog.NewRecord(time.Now(), slog.LevelWarn, "records that were said too often were left out", 0)
			record.AddAttrs(slog.String("text", text.(string)), slog.Uint64(seldom.LeftOut, left))
			select {
			case l.queue <- logged{record: record, handler: func(h slog.Handler) slog.Handler { return h }}:
			default:
				l.dropped.Add(1)
			}
		}
		return true
	})
}

// queued is the handler that the store logs to. It blocks for logTurn at most, and not
// while the handler is late.
type queued struct {
	logs *logs
	with func(slog.Handler) slog.Handler
}

// Enabled leaves it to the goroutine to ask.
func (queued) Enabled(context.Context, slog.Level) bool { return true }

func (q queued) Handle(_ context.Context, record slog.Record) error {
	record = record.Clone()
	if !q.logs.seldom(&record) {
		return nil
	}
	r := logged{record: record, handler: q.with, taken: make(chan struct{})}
	select {
	case q.logs.queue <- r:
	default:
		q.logs.dropped.Add(1)
		return nil
	}
	if q.logs.late.Load() {
		return nil
	}
	timer := time.NewTimer(logTurn)
	defer timer.Stop()
	select {
	case <-r.taken:
	case <-q.logs.ended:
	case <-timer.C:
		q.logs.late.Store(true)
	}
	return nil
}

func (q queued) WithAttrs(attrs []slog.Attr) slog.Handler {
	return queued{q.logs, func(h slog.Handler) slog.Handler { return q.with(h).WithAttrs(attrs) }}
}

func (q queued) WithGroup(name string) slog.Handler {
	return queued{q.logs, func(h slog.Handler) slog.Handler { return q.with(h).WithGroup(name) }}
}
