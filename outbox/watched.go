package outbox

import (
	"sync"

	"forge.lthn.ai/core/go-store/internal/courier"

	"github.com/asynkron/protoactor-go/actor"
)

// watched is a receiver whose end lanes are to be told of. The library is asked by the
// first of them and no more by the last; that may block, and only lanes of the same
// receiver wait for it.
type watched struct {
	users int // that have it or wait for it, guarded by the outbox's lock

	asking sync.Mutex         // held while the library is asked; before the outbox's lock
	lanes  map[*lane]struct{} // guarded by the outbox's lock
}

// watch has a lane told when its receiver ends, and reports whether there is one. It waits for
// one that is being spawned, until the outbox ends.
func (o *Outbox) watch(l *lane, to courier.Recipient) bool {
	id := to.PID.String()
	w := o.use(id)
	defer o.release(id, w)
	w.asking.Lock()
	defer w.asking.Unlock()
	o.mu.Lock()
	first := len(w.lanes) == 0
	w.lanes[l] = struct{}{} // before it is asked: the answer may be its end
	o.mu.Unlock()
	if !first || to.Watch(o.self, o.ctx.Done()) {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(w.lanes, l)
	return false
}

// unwatch has a lane told no more.
func (o *Outbox) unwatch(l *lane, to courier.Recipient) {
	id := to.PID.String()
	w := o.use(id)
	defer o.release(id, w)
	w.asking.Lock()
	defer w.asking.Unlock()
	o.mu.Lock()
	_, told := w.lanes[l]
	delete(w.lanes, l)
	last := told && len(w.lanes) == 0
	o.mu.Unlock()
	if last {
		to.Unwatch(o.self)
	}
}

// use is what there is of a receiver, until release.
func (o *Outbox) use(id string) *watched {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := o.mu.watched[id]
	if w == nil {
		w = &watched{lanes: make(map[*lane]struct{})}
		o.mu.watched[id] = w
	}
	w.users++
	return w
}

func (o *Outbox) release(id string, w *watched) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if w.users--; w.users == 0 && len(w.lanes) == 0 {
		delete(o.mu.watched, id)
	}
}

// terminated tells the lanes of a receiver that it has ended. The library watches it no
// more: the next lane asks anew.
func (o *Outbox) terminated(pid *actor.PID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	id := pid.String()
	w := o.mu.watched[id]
	if w == nil {
		return
	}
	for l := range w.lanes {
		l.terminated()
	}
	clear(w.lanes)
	if w.users == 0 {
		delete(o.mu.watched, id)
	}
}
