package metamorphic

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// broken is an operation during which calls of the disk fail: those of a kind on a kind
// of file, from the one after so many on, or that one alone.
type broken struct {
	Call, Kind string // "": any
	After      int
	Error      syscall.Errno
	Once       bool

	Write *single
	Batch *batch
	Read  *reading
}

func (o broken) fault(w *world) faultfs.Fault {
	var calls atomic.Int64
	return func(operation faultfs.Operation) error {
		if o.Call != "" && operation.Call != o.Call || o.Kind != "" && operation.Kind != o.Kind {
			return nil
		}
		if n := calls.Add(1); n <= int64(o.After) || o.Once && n > int64(o.After)+1 {
			return nil
		}
		w.disk.Add(1)
		struck.disk.Add(1)
		return o.Error
	}
}

func (o broken) run(w *world) (err error) {
	if w.Memory || w.Faults { // a writer that begins anew may not meet them: see open
		return nil
	}
	w.disk.Store(0)
	w.mend = faultfs.Inject(unattended{}, o.fault(w))
	defer w.heal()
	switch {
	case o.Write != nil:
		err = o.Write.run(w)
	case o.Batch != nil:
		err = o.Batch.run(w)
	case o.Read != nil:
		var failed failedError
		if err = o.Read.run(w); errors.As(err, &failed) && w.disk.Load() > 0 && !errors.Is(failed, api.NotFoundError) {
			err = nil // it says so
		}
	}
	w.heal()
	if w.disk.Swap(0) > 0 {
		for _, k := range w.watchers {
			k.unsure = true
		}
	}
	if err != nil {
		return err
	}
	return w.recovers()
}

// struck counts what has failed, in all programs.
var struck struct{ disk, actors, unknown, undone atomic.Int64 }

// heal has the disk work again.
func (w *world) heal() {
	if w.mend != nil {
		w.mend()
		w.mend = nil
	}
}

// recovers waits until the store takes writes again. This one changes nothing. After a
// second fault in a row the store pauses, by its clock.
func (w *world) recovers() (err error) {
	for limit := time.Now().Add(testkit.Patience); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		if err = w.store.DeleteGroup("there is no such group"); err == nil {
			return nil
		}
		if err := (advance{time.Second}).run(w); err != nil {
			return err
		}
	}
	return fmt.Errorf("the disk works again, and the store does not: %w", err)
}

// unattended is a testing.TB for what is undone by hand.
type unattended struct{ testing.TB }

func (unattended) Cleanup(func()) {}
func (unattended) Helper()        {}
