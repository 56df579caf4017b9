package bench

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// expiryLoaders is how many goroutines write the keys that will expire.
	expiryLoaders = 256
	// expiryProbe is the share of them that is written first, to find out how
	// long the rest will take.
	expiryProbe = 50
	// expiryPace is how many keys are due in a second. A million of them in a
	// second would measure nothing but how long it takes to remove a million.
	expiryPace = 25_000
	// A round that is longer than expiryLong is the only one.
	expiryLong = 5 * time.Second
	// The keys are written in expiryPatience times the time in which they are
	// due, and at least in expiryLeast: a store that syncs each alone writes
	// fewer.
	expiryPatience = 3
	expiryLeast    = 3 * time.Second
	// expiryStall is how long not one of the keys that are left may go: a store
	// that is slow to remove them is not wrong.
	expiryStall = 30 * time.Second
	// expiryBuffer keeps the counting goroutine from losing what a purge of
	// thousands of keys tells at once.
	expiryBuffer = 1 << 16
)

var expiryWorkloads = []Workload{{
	Name: "ttl", About: "overwrite keys while many others expire",
	Writes: true, Needs: []Need{NeedExpiry}, stamped: true, cold: true, fresh: true,
	settings: Settings{EventBuffer: expiryBuffer},
	data:     func(p *Plan) dataset { return dataset{name: "ttl", keys: min(p.Keys, 10_000), sizes: p.ValueSize} },
	begin:    (*session).expire,
	length:   (*Plan).expiryLength,
}}

// expiryLength is how long a round takes in which keys expire.
func (p *Plan) expiryLength() time.Duration {
	return max(p.Round, time.Duration(p.Expiring)*time.Second/expiryPace)
}

const expiringGroup = "expiring"

// expire writes Plan.Expiring keys whose deadlines are spread evenly over the
// time that is measured, and then has callers overwrite others meanwhile. The
// lag of a key is the time from its deadline, as its writer knows it (the begin
// of the call and the time to live), to the moment when the harness is told
// that it was removed.
func (s *session) expire() (*work, error) {
	got := newReceipts()
	got.begin() // there is no warm-up
	expirer := s.target.(Expirer)
	receive := receiver(got, 0)
	stop, err := expirer.OnExpire(expiringGroup, func(_, value string) { receive(value) })
	if err != nil {
		return nil, err
	}
	keys, begin, err := s.writeExpiring(expirer)
	if err != nil {
		return nil, err
	}
	if err := sleep(s.ctx, time.Duration(begin-clock())); err != nil { // until the first of them is due
		return nil, err
	}
	number := min(s.plan.Keys, 10_000)
	return &work{
		step: func(c *Caller) (Kind, error) { return s.setKey(c, c.Keys.next(c.Random, number)) },
		settle: func(m *measurement) error {
			if err := s.awaitAll(got, int64(keys), expiryStall); err != nil {
				return err
			}
			missed, err := stop()
			m.expiry = newDelivered(1, int64(keys), got)
			if left := int64(keys) - got.all() - int64(missed); err == nil && left > 0 {
				err = fmt.Errorf("bench: of %d keys %d were not removed after their time, and none of them went for %v", keys, left, expiryStall)
			}
			return err
		},
	}, nil
}

// writeExpiring writes the keys, or as many as can be written in the time for
// it, and returns how many and when the first of them is due.
func (s *session) writeExpiring(expirer Expirer) (keys int, begin int64, err error) {
	keys = s.plan.Expiring
	probe := min(keys, max(keys/expiryProbe, expiryLoaders))
	started := clock()
	far := started + int64(time.Hour)
	if err := s.writeDue(expirer, probe, func(int) int64 { return far }); err != nil {
		return 0, 0, err
	}
	each := float64(clock()-started) / float64(probe)
	keys = max(probe, min(keys, int(float64(max(expiryPatience*int64(s.length), int64(expiryLeast)))/each)))
	begin = clock() + int64(2*each*float64(keys)) + int64(200*time.Millisecond)
	// Those of the probe again: now they are due like the others.
	return keys, begin, s.writeDue(expirer, keys, func(i int) int64 { return begin + int64(float64(s.length)*float64(i)/float64(keys)) })
}

// writeDue writes so many keys, each due at its moment.
func (s *session) writeDue(expirer Expirer, keys int, due func(i int) int64) error {
	var next atomic.Int64
	var group sync.WaitGroup
	errs := make(chan error, expiryLoaders)
	for loader := range expiryLoaders {
		group.Go(func() {
			random := newRandom(s.plan.Seed, uint64(loader)<<32)
			for i := int(next.Add(1) - 1); i < keys && s.ctx.Err() == nil; i = int(next.Add(1) - 1) {
				at := due(i)
				left := max(at-clock(), int64(time.Millisecond))
				if err := expirer.SetWithTTL(expiringGroup, hex(scramble(uint64(i))), s.sizes.stamped(random, clock()+left), left); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(errs)
	return errors.Join(<-errs, s.ctx.Err()) // nil if there is none
}
