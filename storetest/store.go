package storetest

import (
	"context"
	"errors"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/engine"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
)

// Store is a store under test. The *api.Store in it is another one after Kill, PowerLoss
// and Reopen: hand it on anew then, and let no goroutine read the field meanwhile.
type Store struct {
	*api.Store

	t        testing.TB
	settings settings
	path     string
	folder   *faultfs.Folder // nil in memory
	points   points
	label    string // of the goroutines that the store starts
	faulted  bool   // the test has had the disk fail since the store was opened
}

// New opens a store for a test: on disk, in a folder of its own, on a clock that stands
// still. It is closed when the test ends, after what the test has deferred and before what
// it gave to Cleanup earlier; the test then fails if the store can't write and the test has not
// told it so (Fault, AllowDegraded), if Close fails, or if goroutines of the store stay
// behind. It fails the test at once if the store can't be opened.
func New(t testing.TB, options ...Option) *Store {
	t.Helper()
	s := &Store{t: t, label: strconv.FormatUint(stores.Add(1), 10)}
	for _, option := range options {
		option(&s.settings)
	}
	if s.settings.clock == nil && !s.settings.realClock {
		s.settings.clock = NewClock()
	}
	s.points.store = s
	if err := s.take(); err != nil {
		t.Fatalf("storetest: %v", err)
	}
	if err := s.open(); err != nil {
		s.release()
		t.Fatalf("storetest: %v", err)
	}
	t.Cleanup(s.finish)
	return s
}

var stores atomic.Uint64

// take makes the place where the store is to be.
func (s *Store) take() error {
	if s.settings.memory {
		s.path = ":memory:"
		return nil
	}
	path := s.settings.path
	if path == "" {
		path = filepath.Join(s.t.TempDir(), "store.db")
	}
	folder, err := faultfs.Take(filepath.Dir(path))
	if err != nil {
		return err
	}
	s.folder, s.path = folder, filepath.Join(folder.Path(), filepath.Base(path))
	return nil
}

func (s *Store) release() {
	if s.folder != nil {
		s.folder.Release()
	}
}

// open opens the store in a goroutine by whose label those that it starts are known.
func (s *Store) open() (err error) {
	options := []api.Option{
		func(c *engine.Config) error { c.Failpoint = s.points.hit; return nil },
		api.WithMmap(false), // faults of reads would pass mapped pages by, and reach those that are read
	}
	if s.settings.clock != nil {
		options = append(options, api.WithClock(s.settings.clock))
	}
	options = append(options, s.settings.options...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		pprof.Do(context.Background(), pprof.Labels(labelKey, s.label), func(context.Context) {
			s.Store, err = api.New(s.path, options...)
		})
	}()
	<-done
	s.faulted = s.folder != nil && s.folder.Faulty()
	return err
}

// finish is the end of the test.
func (s *Store) finish() {
	s.t.Helper()
	defer s.release()
	told := s.settings.allowDegraded
	if s.folder != nil {
		told = told || s.folder.Dead()
		s.folder.Heal()
	}
	if err := s.Health().Err; err != nil && !errors.Is(err, api.ClosedError) && !told && !s.faulted {
		s.t.Errorf("storetest: the store was left unable to write (AllowDegraded says that this is meant): %v", err)
		told = true
	}
	if err := s.Close(); err != nil && !told {
		s.t.Errorf("storetest: the store does not close whole: %v", err)
	}
	if left := leftBehind(s.label); left != "" {
		s.t.Errorf("storetest: the store left goroutines behind:\n%s", left)
	}
}

// Path is the store's file, or ":memory:".
func (s *Store) Path() string { return s.path }

// Clock is the clock that the store lives by, nil with RealClock.
func (s *Store) Clock() *Clock { return s.settings.clock }

// Advance lets time pass for the store: see Clock.Advance.
func (s *Store) Advance(d time.Duration) {
	s.t.Helper()
	s.moved("Advance").Advance(d)
}

// Jump sets the date: see Clock.Jump.
func (s *Store) Jump(d time.Duration) {
	s.t.Helper()
	s.moved("Jump").Jump(d)
}

func (s *Store) moved(function string) *Clock {
	s.t.Helper()
	if s.settings.clock == nil {
		s.t.Fatalf("storetest: %s: the store lives by the machine's clock; in a bubble of synctest sleep instead", function)
	}
	return s.settings.clock
}
