package outbox

import (
	"errors"
	"log/slog"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// heard notes that the receiver answers, and has attempts count anew: of all messages but those
// that it has passed over, which may be those that it fails at.
func (l *lane) heard(answered func(id string) bool) {
	l.progress, l.pauses, l.failures, l.unheard, l.lost = time.Now(), 0, 0, 0, nil
	last := -1
	for i, f := range l.window {
		if answered(f.message.ID) {
			last = i
		}
	}
	for i, f := range l.window {
		f.skipped = f.skipped || i < last
		if i > last && !f.skipped {
			f.attempt = min(f.attempt, 1) // the one that it may be busy with
		}
	}
}

// deaf reports whether nothing was answered for as often as a message is tried, the attempt
// before the first failure included. Only then do messages stand for those behind them: one
// that was passed over has more attempts.
func (l *lane) deaf() bool { return l.failures+1 >= l.outbox.options.Attempts }

// reject moves messages that the receiver has refused to the dead letters. A message that the
// store does not take now comes again.
func (l *lane) reject(refused map[string]string) {
	l.heard(func(id string) bool { _, ok := refused[id]; return ok })
	kept := l.window[:0]
	for _, f := range l.window {
		reason, ok := refused[f.message.ID]
		if ok {
			err := l.outbox.store.Bury(f.message, "rejected: "+reason, f.attempt)
			if ok = err == nil || errors.Is(err, api.NotFoundError); !ok {
				l.outbox.ended(err)
			}
		}
		if !ok {
			kept = append(kept, f)
			continue
		}
		l.bytes -= f.message.Size()
		delete(refused, f.message.ID)
		l.mu.Lock()
		delete(l.mu.flying, f.message.ID)
		l.mu.Unlock()
	}
	clear(l.window[len(kept):])
	l.window = kept
	if rested := l.rested; rested != nil { // what was on its way then is not read again yet
		for id, reason := range refused {
			if _, settled := l.settled[id]; settled {
				continue // acknowledged before
			}
			l.rejectRow(id, reason, rested.tried(id, rested.failures))
		}
	}
}

// rejectRow moves a message that is not in the window to the dead letters.
func (l *lane) rejectRow(id, reason string, attempts int) {
	page, err := l.outbox.store.OutboxPage(l.address, id, 1)
	if err == nil && len(page) > 0 && page[0].ID == id {
		err = l.outbox.store.Bury(page[0], "rejected: "+reason, attempts)
	}
	if err != nil && !errors.Is(err, api.NotFoundError) {
		l.outbox.ended(err)
	}
}

// fail notes that nothing was answered, and pauses.
func (l *lane) fail() {
	l.pause()
	l.failures++
}

// pause has everything be sent again, later.
func (l *lane) pause() {
	l.again()
	pause := l.outbox.options.LastPause
	if l.pauses < 30 {
		pause = min(l.outbox.options.FirstPause<<l.pauses, pause)
	}
	l.pauses++
	l.until = time.Now().Add(pause)
}

// bury moves those at the head that were tried often enough to the dead letters. Those
// behind them begin with short pauses.
func (l *lane) bury(reason string) (buried int) {
	for len(l.window) > 0 && l.window[0].attempt >= l.outbox.options.Attempts && l.buryHead(reason) {
		buried++
		l.pauses = 0
	}
	return buried
}

// buryWindow moves everything that was read to the dead letters, because the address is
// given up.
func (l *lane) buryWindow() {
	messages := make([]api.OutboxMessage, len(l.window))
	for i, f := range l.window {
		messages[i] = f.message
	}
	attempts := l.window[0].attempt
	if err := l.outbox.store.BuryAll(messages, l.lost.reason, attempts); err != nil {
		l.outbox.ended(err)
		l.fail()
		return
	}
	l.outbox.options.Logger.Warn("an address is given up", slog.String("address", l.address), slog.Int("messages", len(messages)),
		slog.String("reason", l.lost.reason), slog.Int("attempts", attempts))
	l.mu.Lock()
	for _, m := range messages {
		delete(l.mu.flying, m.ID)
	}
	l.mu.Unlock()
	l.window, l.bytes, l.pauses = nil, 0, 0
	l.poke() // for the next page
}

func (l *lane) buryHead(reason string) bool {
	f := l.window[0]
	err := l.outbox.store.Bury(f.message, reason, f.attempt)
	switch {
	case err == nil:
		l.outbox.options.Logger.Warn("a message is given up", slog.String("address", l.address),
			slog.String("id", f.message.ID), slog.String("reason", reason), slog.Int("attempts", f.attempt))
	case !errors.Is(err, api.NotFoundError): // it was dropped meanwhile
		l.outbox.ended(err)
		if !time.Now().Before(l.until) {
			l.fail()
		}
		return false
	}
	l.window[0], l.window = nil, l.window[1:]
	l.bytes -= f.message.Size()
	l.mu.Lock()
	delete(l.mu.flying, f.message.ID)
	l.mu.Unlock()
	return true
}
