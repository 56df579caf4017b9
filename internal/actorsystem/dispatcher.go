package actorsystem

import "sync"

// throughput is how many messages an actor handles before it lets other
// goroutines run; Proto.Actor's default.
const throughput = 300

// Dispatcher runs one actor on one goroutine that it keeps. The default
// dispatcher starts a goroutine whenever a mailbox turns non-empty, which for
// a single caller is at every request.
type Dispatcher struct {
	work    chan func()
	stopped chan struct{}
	once    sync.Once
}

// NewDispatcher starts the goroutine; Stop ends it.
func NewDispatcher() *Dispatcher {
	// A mailbox schedules again only after it was seen empty, while at most
	// one run is ending: one place is enough for Schedule never to block.
	d := &Dispatcher{work: make(chan func(), 1), stopped: make(chan struct{})}
	go d.run()
	return d
}

func (d *Dispatcher) run() {
	stopped := false
	defer func() {
		if !stopped { // f has ended the goroutine (or panics, and the process with it)
			go d.run()
		}
	}()
	for {
		select {
		case f := <-d.work:
			f()
		case <-d.stopped:
			stopped = true
			d.leftover()
			return
		}
	}
}

// Schedule runs f on the kept goroutine, or on a new one after Stop: a message
// that comes too late must still find its way to the dead letters.
func (d *Dispatcher) Schedule(f func()) {
	select {
	case d.work <- f:
	case <-d.stopped:
		go f()
		return
	}
	select {
	case <-d.stopped: // the goroutine may have ended before it saw f
		d.leftover()
	default:
	}
}

// leftover runs what was scheduled while the goroutine ended. The goroutine that takes it
// out runs it, so it runs once.
func (d *Dispatcher) leftover() {
	select {
	case f := <-d.work:
		go f()
	default:
	}
}

// Throughput is the number of messages between two yields.
func (d *Dispatcher) Throughput() int { return throughput }

// Stop ends the goroutine once what runs now has ended. Call it after the
// actor has stopped, from another goroutine than the actor's.
func (d *Dispatcher) Stop() { d.once.Do(func() { close(d.stopped) }) }
