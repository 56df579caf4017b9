// Package soak looks for what grows: callers work on a store for a long time,
// over a set of keys that does not grow, and what the store takes is sampled
// meanwhile. It owns the load, the samples and the verdict.
//
// It never opens a file of the database while the store has it open: sizes are
// asked of the folder, since closing a descriptor of such a file would drop the
// store's own locks on it.
package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/bench"
)

// Config says what a run does. What is zero has its default.
type Config struct {
	Path     string        // of a database that does not exist yet, in a folder that does; required
	Duration time.Duration // of the load, at least a second; it is longer if samples take so long that too few are there for a verdict; required
	Callers  int           // goroutines that call the store, default 64
	Rate     float64       // calls a second, of all callers together; 0: as many as they can
	Every    time.Duration // between two samples; default a 360th of Duration, but a second if that is shorter, and a 20th of Duration at most
	Warm     time.Duration // what is not judged at the beginning; default five minutes, or a fifth of Duration if that is shorter
	Seed     uint64        // what the callers do follows from it

	Progress func(elapsed time.Duration) // called for each reading of the log's size, by one goroutine; may be nil

	beside func() // called before each sample; for tests, which let something grow
}

// steady is how long a store takes to have the size it keeps: caches fill, and
// connections are opened whenever more scans coincide than before.
const steady = 5 * time.Minute

func (c Config) complete() (Config, error) {
	if c.Callers == 0 {
		c.Callers = 64
	}
	if c.Every == 0 {
		c.Every = min(max(c.Duration/360, time.Second), c.Duration/20)
	}
	if c.Warm == 0 {
		c.Warm = min(steady, c.Duration/5)
	}
	switch {
	case c.Path == "":
		return c, errors.New("name a database")
	case c.Duration < time.Second:
		return c, fmt.Errorf("%v: use a second at least", c.Duration)
	case c.Callers < 1:
		return c, fmt.Errorf("%d callers: use one at least", c.Callers)
	case c.Rate < 0:
		return c, fmt.Errorf("a rate of %g: use a positive one, or 0 for as many calls as there can be", c.Rate)
	case c.Every < time.Millisecond || c.Warm < 0 || c.Duration-c.Warm < leastJudged*c.Every:
		return c, fmt.Errorf("samples every %v, of which the first %v are not judged: that leaves fewer than %d within %v",
			c.Every, c.Warm, leastJudged, c.Duration)
	}
	return c, nil
}

// Run makes the database, works on it as the Config says, and returns when
// Duration is over, ctx ends or a call fails. The Result is what was sampled by
// then, and its verdict; growth is no error. An error is one of a call that may
// not fail, of a setting that can't be, or of closing the store. The database
// stays where it is.
func Run(ctx context.Context, config Config) (result Result, err error) {
	config, err = config.complete()
	if err != nil {
		return Result{}, fmt.Errorf("soak.Run: %w", err)
	}
	result = Result{
		Started: time.Now(), Seed: config.Seed, Callers: config.Callers, Rate: config.Rate,
		Every: config.Every.Seconds(), Warm: config.Warm.Seconds(),
	}
	if result.Machine, err = machine(config.Path); err != nil {
		return Result{}, fmt.Errorf("soak.Run: %w", err)
	}
	store, err := api.New(config.Path, api.WithPurgeInterval(20*time.Millisecond),
		// All are reached within the warm-up, so that the file can stay as it is, and
		// the heap.
		api.WithHistory(api.Retention{Bytes: historyBytes}), api.WithReadCache(cacheBytes), api.WithOverlay(overlayBytes))
	if err != nil {
		return Result{}, fmt.Errorf("soak.Run: %w", err)
	}
	defer func() {
		if closing := store.Close(); closing != nil {
			err = errors.Join(err, fmt.Errorf("soak.Run: close: %w", closing))
		}
	}()
	if err := fill(store); err != nil {
		return result, fmt.Errorf("soak.Run: fill: %w", err)
	}
	load, err := newLoad(store, config)
	if err != nil {
		return result, fmt.Errorf("soak.Run: %w", err)
	}
	if err := load.crowd(); err != nil {
		return result, fmt.Errorf("soak.Run: scans and snapshots at once: %w", err)
	}
	if err := load.swell(); err != nil {
		return result, fmt.Errorf("soak.Run: a long WAL: %w", err)
	}
	result.Samples, err = load.observe(ctx)
	if err != nil {
		err = fmt.Errorf("soak.Run: %w", err)
	}
	result.Calls = load.calls()
	result.Interrupted = ctx.Err() != nil
	if n := len(result.Samples); n > 0 {
		result.Seconds = result.Samples[n-1].At
	}
	result.judge()
	return result, err
}

// machine measures the disk beside the database.
func machine(path string) (bench.Machine, error) {
	parent := filepath.Dir(path)
	if path == ":memory:" {
		parent = os.TempDir()
	}
	folder, err := os.MkdirTemp(parent, ".soak-")
	if err != nil {
		return bench.Machine{}, err
	}
	defer os.RemoveAll(folder)
	return bench.DescribeMachine(folder)
}

// observe runs the load and samples until the time is over, ctx has ended or a
// caller has stopped by itself.
func (l *load) observe(ctx context.Context) ([]Sample, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var working sync.WaitGroup
	failed := make(chan error, len(l.callers)+len(l.audience))
	l.began = time.Now()
	for _, c := range l.callers {
		working.Go(func() { failed <- c.run(ctx) })
	}
	for _, listen := range l.audience {
		working.Go(func() { failed <- listen(ctx) })
	}
	samples, early := l.sample(ctx, failed)
	stop()
	working.Wait()
	close(failed)
	errs := []error{early}
	for err := range failed {
		errs = append(errs, err)
	}
	return samples, errors.Join(errs...)
}

// sample looks at the log's size often and at everything at times.
func (l *load) sample(ctx context.Context, failed <-chan error) ([]Sample, error) {
	c := &l.config
	samples := make([]Sample, 0, c.Duration/c.Every+2) // which grow nothing then
	ticker := time.NewTicker(max(c.Every/200, time.Millisecond))
	defer ticker.Stop()
	due, logged, judged := c.Every, int64(0), 0
	for {
		select {
		case <-ctx.Done():
			return samples, nil
		case err := <-failed:
			return samples, err
		case <-ticker.C:
		}
		logged = max(logged, size(c.Path+"-wal"))
		elapsed := time.Since(l.began)
		if c.Progress != nil {
			c.Progress(min(elapsed, c.Duration))
		}
		if elapsed < due {
			continue
		}
		if c.beside != nil {
			c.beside()
		}
		sample := l.measure()
		sample.WAL, logged = logged, 0
		samples = append(samples, sample)
		if sample.At >= c.Warm.Seconds() {
			judged++
		}
		// Samples that took long may be too few for a verdict at the end: the
		// run goes on for those.
		if elapsed >= c.Duration && judged >= leastJudged {
			return samples, nil
		}
		// A sample that took long is not followed by others without a rest.
		due = max(due+c.Every, time.Since(l.began)+c.Every/2)
		if elapsed < c.Duration {
			due = min(due, c.Duration)
		}
	}
}
