package sqlite

import (
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/memory"
)

// Figures is as storage.Database has it. Of a database that another process owns only the
// views are known: the rest is the owner's.
func (d *Database) Figures() (f storage.Figures) {
	switch reads := d.reads.(type) {
	case *fileReads:
		f.Views, f.Oldest = reads.pool.oldest()
	case *memory.Store:
		f.Views = reads.Pinned()
	}
	w, ok := d.writer.(*fileWriter)
	if !ok {
		return f
	}
	if info, err := w.guard.WAL().Stat(); err == nil {
		f.WALBytes = info.Size()
	}
	f.WALFrames, f.WALBehind = w.views.walFigures()
	c := w.checkpoints
	f.Checkpoints, f.CheckpointFailures, f.Ended = c.completed.Load(), c.failures.Load(), c.expired.Load()
	return f
}

// oldest is how many scans and snapshots there are, and how old the oldest is.
func (p *pool) oldest() (open int, age time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for h := range p.mu.held {
		age = max(age, time.Since(h.since))
	}
	return len(p.mu.held), age
}

// walFigures is how many frames the WAL has, and how many are not in the database yet. It
// looks at the shared memory, unless a commit or a change of anchors is under way: then it is
// what it was at the last look.
func (s *views) walFigures() (frames, behind int) {
	if s == nil || s.Index == nil {
		return 0, 0
	}
	if s.mu.TryLock() {
		defer s.mu.Unlock()
		if s.shut { // the index may be gone
			return 0, 0
		}
		if state, ok := s.Index.State(); ok {
			moved, _ := s.Index.Backfilled()
			s.figures.frames.Store(int64(state.Frames))
			s.figures.behind.Store(max(int64(state.Frames)-int64(moved), 0))
		}
	}
	return int(s.figures.frames.Load()), int(s.figures.behind.Load())
}

// expire ends scans and snapshots that are older than the limit.
func (c *checkpoints) expire(age time.Duration) (ended int) {
	ended = c.readers.expire(age)
	c.expired.Add(uint64(ended))
	return ended
}

// note is deferred by each checkpoint.
func (c *checkpoints) note(began time.Time, err *error) {
	c.took.Took(time.Since(began))
	if *err != nil && !isInterrupt(*err) {
		c.failures.Add(1)
	}
}
