package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// measurement is what one round did.
type measurement struct {
	outcome
	round     Round
	calls     int64 // those of the warm-up too
	written   int64 // bytes, when the measuring began; negative if that is not told
	delivery  *delivered
	expiry    *delivered
	conflicts uint64
}

// round opens a target, prepares it, warms it up, measures and closes it.
func (r *runner) round(ctx context.Context, w *Workload, contender *Contender, callers, number int) (m *measurement, err error) {
	place, opened, err := r.enter(ctx, w, contender)
	if err != nil {
		return nil, err
	}
	// Whatever goes wrong, the target is closed.
	defer func() { err = errors.Join(err, place.leave(w)) }()

	s := &session{
		ctx: ctx, plan: r.plan, target: place.target, keys: place.keys, sizes: place.data.sizes,
		callers: callers, length: r.plan.roundOf(w),
	}
	job, err := w.begin(s)
	if err != nil {
		return nil, err
	}
	m = &measurement{round: Round{Open: opened.Seconds()}}
	err = r.drive(ctx, w, job, m, r.makeCallers(w, callers, number))
	if err == nil && job.settle != nil {
		err = job.settle(m)
	}
	closing := clock()
	if closeErr := place.leave(w); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("close: %w", closeErr))
	}
	if w.Writes && !contender.Ephemeral {
		m.round.Close = time.Duration(clock() - closing).Seconds()
		if now, told := writtenBytes(); told && m.written >= 0 {
			m.round.Written, m.round.Given = now-m.written, m.given
		}
	}
	if job.finish != nil {
		err = errors.Join(err, job.finish(m))
	}
	if err == nil && m.operations == 0 {
		err = errors.New("bench: no operation was over within the round; use longer rounds or fewer callers")
	}
	return m, err
}

// drive warms up and measures.
func (r *runner) drive(ctx context.Context, w *Workload, job *work, m *measurement, callers []*Caller) error {
	if !w.cold {
		if _, err := drive(ctx, callers, phase{r.plan.WarmUp, r.plan.Rate, job.step, job.burst}); err != nil {
			return fmt.Errorf("warm-up: %w", err)
		}
	}
	collectGarbage()
	var told bool
	if m.written, told = writtenBytes(); !told {
		m.written = -1
	}
	if job.start != nil {
		job.start()
	}
	var err error
	m.outcome, err = drive(ctx, callers, phase{r.plan.roundOf(w), r.plan.Rate, job.step, job.burst})
	m.round.Operations, m.round.Seconds = m.operations, m.elapsed.Seconds()
	for _, caller := range callers {
		m.calls += int64(caller.Calls)
	}
	return err
}

// siteKey says which data of which contender.
type siteKey struct{ contender, dataset string }

// site is a folder with a store in it, and what is in that.
type site struct {
	contender *Contender
	folder    string
	data      dataset
	keys      *keyspace
	target    Target // nil while closed
	loaded    bool
}

// enter opens a store that has the workload's data.
func (r *runner) enter(ctx context.Context, w *Workload, contender *Contender) (*site, time.Duration, error) {
	place, err := r.site(w, contender)
	if err != nil {
		return nil, 0, err
	}
	opened, err := place.prepare(ctx, r.plan, w)
	if err != nil {
		return nil, 0, errors.Join(err, place.close())
	}
	return place, opened, nil
}

// prepare opens the store and loads what it has not yet, or no longer.
func (p *site) prepare(ctx context.Context, plan *Plan, w *Workload) (opened time.Duration, err error) {
	if opened, err = p.open(w); err != nil {
		return 0, err
	}
	if why := p.contender.cannot(p.target, w.Needs); why != "" {
		return 0, cannotError{why}
	}
	if p.loaded && !w.spends {
		return opened, nil
	}
	if err := p.load(ctx, plan); err != nil {
		return 0, fmt.Errorf("load: %w", err)
	}
	if p.contender.Ephemeral {
		return opened, nil
	}
	// What was loaded leaves no work for the round to finish.
	if err := p.close(); err != nil {
		return 0, err
	}
	return p.open(w)
}

// site is where a contender has a workload's data, or will have it.
func (r *runner) site(w *Workload, contender *Contender) (*site, error) {
	data := w.data(r.plan)
	key := siteKey{contender.Name, data.name}
	if place := r.sites[key]; place != nil {
		return place, nil
	}
	folder := filepath.Join(r.folder, contender.Name+"-"+data.name)
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	place := &site{
		contender: contender, folder: folder, data: data,
		keys: newKeyspace(data.keys, r.plan.Distribution == Sequential),
	}
	if r.sites == nil {
		r.sites = make(map[siteKey]*site)
	}
	r.sites[key] = place
	return place, nil
}

func (p *site) open(w *Workload) (time.Duration, error) {
	if p.target != nil {
		return 0, nil
	}
	began := clock()
	target, err := p.contender.Open(p.folder, w.settings)
	if err != nil {
		return 0, fmt.Errorf("open: %w", err)
	}
	p.target = target
	return time.Duration(clock() - began), nil
}

// leave ends a round: an ephemeral store stays open, with its data.
func (p *site) leave(w *Workload) error {
	if p.contender.Ephemeral && !w.fresh {
		return nil
	}
	err := p.close()
	if w.fresh {
		p.loaded = false
		err = errors.Join(err, os.RemoveAll(p.folder), os.Mkdir(p.folder, 0o700))
	}
	return err
}

func (p *site) close() error {
	if p.target == nil {
		return nil
	}
	target := p.target
	p.target = nil
	p.loaded = p.loaded && !p.contender.Ephemeral
	return target.Close()
}

const (
	loadBatch   = 1_000
	loadCallers = 64
)

// load writes the data set's keys.
func (p *site) load(ctx context.Context, plan *Plan) error {
	if loader, ok := p.target.(Loader); ok {
		return p.loadBatches(ctx, plan, loader)
	}
	errs := make([]error, loadCallers)
	var group sync.WaitGroup
	for caller := range errs {
		group.Go(func() {
			random := newRandom(plan.Seed, uint64(caller))
			for i := caller; i < p.data.keys && errs[caller] == nil; i += loadCallers {
				errs[caller] = p.target.Set(p.data.groupOf(i), p.keys.name(i), p.data.sizes.value(random))
				if ctx.Err() != nil {
					errs[caller] = ctx.Err()
				}
			}
		})
	}
	group.Wait()
	p.loaded = true
	return errors.Join(errs...)
}

func (p *site) loadBatches(ctx context.Context, plan *Plan, loader Loader) error {
	random := newRandom(plan.Seed, 0)
	numbers := make([]int, p.data.keys)
	for i := range numbers {
		numbers[i] = i
	}
	if plan.Sorted {
		slices.SortFunc(numbers, func(a, b int) int {
			return cmp.Or(strings.Compare(p.data.groupOf(a), p.data.groupOf(b)), strings.Compare(p.keys.name(a), p.keys.name(b)))
		})
	}
	for batch := range slices.Chunk(numbers, loadBatch) {
		items := make([]Item, len(batch))
		for i, number := range batch {
			items[i] = Item{p.data.groupOf(number), p.keys.name(number), p.data.sizes.value(random)}
		}
		if err := errors.Join(ctx.Err(), loader.Load(items)); err != nil {
			return err
		}
	}
	p.loaded = true
	return nil
}

// closeSites closes what is still open: ephemeral stores.
func (r *runner) closeSites() {
	for _, place := range r.sites {
		_ = place.close() // their folder goes anyway
	}
}
