// Command queue is a work queue of outbox and timers. A job is put in with one commit: the
// message to a worker (Tell) and the deadline by which it is to be done (SetWithTTL with
// NotifyOnExpiry) are there both or not at all. Package outbox delivers the message, again
// and again until the worker acknowledges it; the deadline, if it comes, is a message to an
// overseer, which hands the job to another worker.
//
// Workers are bad ones: now and then one fails before it has done the job, or after it did
// and before it acknowledged, or acknowledges and forgets. Half-way everything is stopped
// and started anew, as by a restart of the program.
//
// The invariant: in the end each job was done exactly once, by what it has left in the
// store, and neither messages nor deadlines are left.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/examples/internal/ending"
	"forge.lthn.ai/core/go-store/outbox"

	"github.com/asynkron/protoactor-go/actor"
)

const (
	workers  = 4
	deadline = 300 * time.Millisecond // to do a job
	repeat   = 100 * time.Millisecond // a message that is not acknowledged
)

func main() {
	length := flag.Duration("for", 2*time.Second, "how long jobs are put in")
	seed := flag.Uint64("seed", 1, "of the jobs, and of what goes wrong")
	flag.Parse()
	ending.Within(*length + 17*time.Second)
	if err := run(os.Stdout, *length, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "queue:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, length time.Duration, seed uint64) error {
	folder, err := os.MkdirTemp("", "go-store-queue-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	path, random := filepath.Join(folder, "queue.db"), rand.New(rand.NewPCG(seed, 0))
	jobs, sum, failed := 0, 0, new(failures)
	var q *queue
	for life := range 2 {
		if q, err = open(path, seed+uint64(life), failed); err != nil {
			return err
		}
		for began := time.Now(); time.Since(began) < length/2; jobs++ {
			value := random.IntN(100)
			if err := q.put(job{jobs, value}, random.IntN(workers)); err != nil {
				return errors.Join(err, q.close())
			}
			sum += value
		}
		if life == 0 {
			if err := q.close(); err != nil {
				return err
			}
		}
	}
	if err := errors.Join(q.check(jobs, sum), q.close()); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d jobs, each done once; workers failed before %d and after %d of them, and forgot %d; %d had to be done by another\n",
		jobs, failed.before.Load(), failed.after.Load(), failed.forgotten.Load(), failed.late.Load())
	return nil
}

// failures counts what went wrong on purpose.
type failures struct{ before, after, forgotten, late atomic.Int64 }

// job is a number and something to add up.
type job struct{ id, value int }

func (j job) key() string    { return fmt.Sprintf("%08d", j.id) }
func (j job) String() string { return fmt.Sprint(j.id, " ", j.value) }

func parse(text string) (j job, err error) {
	_, err = fmt.Sscan(text, &j.id, &j.value)
	return j, err
}

// queue is an open store with the workers and the delivery.
type queue struct {
	system   *actor.ActorSystem
	store    *api.Store
	pids     []*actor.PID
	delivery *outbox.Outbox
}

func open(path string, seed uint64, failed *failures) (*queue, error) {
	q := &queue{system: actor.NewActorSystem(actor.WithLoggerFactory(
		func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))}
	var err error
	if q.store, err = api.New(path, api.WithActorSystem(q.system)); err != nil {
		return nil, err
	}
	for i := range workers {
		w := &worker{store: q.store, failed: failed, random: rand.New(rand.NewPCG(seed, uint64(i)))}
		if err := q.spawn(addressOf(i), w.Receive); err != nil {
			return nil, errors.Join(err, q.store.Close())
		}
	}
	o := &overseer{queue: q, failed: failed}
	if err := q.spawn("overseer", o.Receive); err != nil {
		return nil, errors.Join(err, q.store.Close())
	}
	q.delivery, err = outbox.Start(q.store, q.system, outbox.Options{Timeout: repeat, FirstPause: repeat / 10})
	if err != nil {
		return nil, errors.Join(err, q.store.Close())
	}
	return q, nil
}

func addressOf(worker int) string { return fmt.Sprintf("worker-%d", worker) }

// spawn starts an actor under the name that is its address.
func (q *queue) spawn(address string, receive actor.ReceiveFunc) error {
	pid, err := q.system.Root.SpawnNamed(actor.PropsFromFunc(receive, actor.WithGuardian(actor.RestartingSupervisorStrategy())), address)
	q.pids = append(q.pids, pid)
	return err
}

func (q *queue) close() error {
	q.delivery.Stop()
	var err error
	for _, pid := range q.pids {
		err = errors.Join(err, ending.Stop(q.system, pid))
	}
	return errors.Join(err, q.store.Close())
}

// put gives a job to a worker: its message and its deadline are one commit.
func (q *queue) put(j job, worker int) error {
	_, err := q.store.Batch(new(api.Batch).
		Tell(addressOf(worker), j.String()).
		SetWithTTL("deadlines", j.key(), j.String(), deadline, api.NotifyOnExpiry("overseer")))
	return err
}

// check waits until all is done, and looks at what was left.
func (q *queue) check(jobs, sum int) error {
	if err := q.finished(jobs); err != nil {
		return err
	}
	text, err := q.store.Get("results", "sum")
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(text); err != nil || n != sum {
		return fmt.Errorf("the results add up to %s, and the jobs to %d: one was done twice, or not at all", text, sum)
	}
	return nil
}

// finished returns when every job is done, and neither messages nor deadlines are left. It is
// told what there is, and then of every change.
func (q *queue) finished(jobs int) error {
	type place struct{ group, key string }
	left, done, synced := make(map[place]bool), make(map[string]bool), false
	for event, err := range q.store.Subscribe(context.Background(), api.SubscribeOptions{State: true, Filters: []api.Filter{
		{Group: api.Exactly("done")}, {Group: api.Exactly("deadlines")}, {Group: api.Prefix(api.OutboxPrefix)}}}) {
		if err != nil {
			return err
		}
		at := place{event.Group, event.Key}
		switch {
		case event.Type == api.EventSynced:
			synced = true
		case event.Type == api.EventSet && event.Group == "done":
			done[event.Key] = true
		case event.Type == api.EventSet:
			left[at] = true
		case event.Type == api.EventDelete, event.Type == api.EventExpire:
			delete(left, at)
		}
		if synced && len(done) == jobs && len(left) == 0 {
			break
		}
	}
	return nil
}

// worker does jobs, when it does not fail.
type worker struct {
	store  *api.Store
	failed *failures
	random *rand.Rand
}

// Receive does a job. What it leaves in the store is one commit, which says that the job is
// done, ends its deadline, and does nothing if it was done before.
func (w *worker) Receive(c actor.Context) {
	m, ok := c.Message().(outbox.Message)
	if !ok {
		return
	}
	j, err := parse(m.Payload)
	if err != nil {
		panic(err)
	}
	const seldom = 20
	switch w.random.IntN(seldom) {
	case 0:
		w.failed.before.Add(1)
		panic("before the job was done")
	case 1:
		w.failed.forgotten.Add(1)
		c.Respond(m.Ack())
		return
	}
	_, err = w.store.Batch(new(api.Batch).
		IfAbsent("done", j.key()).
		Set("done", j.key(), c.Self().Id).
		Increment("results", "sum", int64(j.value)).
		Delete("deadlines", j.key()))
	var before *api.RevisionMismatchError
	if err != nil && !errors.As(err, &before) {
		panic(err) // and the message comes again
	}
	if w.random.IntN(seldom) == 0 {
		w.failed.after.Add(1)
		panic("after the job was done")
	}
	c.Respond(m.Ack())
}

// overseer is told of deadlines that were not met.
type overseer struct {
	queue  *queue
	failed *failures
	next   int
}

// Receive gives the job to another worker, with a deadline of its own, unless it was done
// at the last moment. Being told twice does no harm: it is done once.
func (o *overseer) Receive(c actor.Context) {
	m, ok := c.Message().(outbox.Message)
	if !ok || m.Expired == nil {
		return
	}
	j, err := parse(m.Expired.Value)
	if err != nil {
		panic(err)
	}
	done, err := o.queue.store.Exists("done", j.key())
	if err != nil {
		panic(err)
	}
	if !done {
		o.failed.late.Add(1)
		o.next++
		if err := o.queue.put(j, o.next%workers); err != nil {
			panic(err)
		}
	}
	c.Respond(m.Ack())
}
