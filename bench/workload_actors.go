package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// getters is how many actors ask at a time.
	getters = 64
	// pipelined is how many requests of one actor are under way, and how many
	// goroutines it is measured beside.
	pipelined = 1_000
	// persistent is how many actors persist events.
	persistent = 1_000
	// audience is how many actors subscribe, each to a group of its own.
	audience = 1_000
	// actorBurst is how many operations of actors are one call.
	actorBurst = 1_000
	// mostTimers is how many fall due in one second.
	mostTimers = 100_000
	// timersRound is the longest that the workload waits for them.
	timersRound = time.Minute
	// timersBatch is how many are set in one commit, and in timersMargin times as long
	// as the first ones took, and timersLeast, all are to be set.
	timersBatch  = 1_000
	timersMargin = 3
	timersLeast  = 500 * time.Millisecond
)

// forActors are the settings of a store that actors use.
var forActors = Settings{Actors: true}

var actorWorkloads = []Workload{
	{
		Name: "actor-get", About: "64 actors read one of 1,000 keys by message, one after another; beside it: from an actor that only answers",
		Callers: 1, Needs: []Need{NeedMessages}, ownKeys: true, settings: forActors, data: actorRecords,
		begin: func(s *session) (*work, error) { return s.crowd(s.target.(Messenger).Gets(getters, s.askHot())) },
		beside: &Workload{
			About: "an actor that only answers", Callers: 1, ownKeys: true, settings: forActors, data: actorRecords,
			begin: func(s *session) (*work, error) { return s.crowd(s.target.(Messenger).Echoes(getters, s.askHot())) },
		},
	},
	{
		Name: "actor-set", About: "one actor overwrites keys by message, 1,000 of them under way; beside it: 1,000 goroutines that call",
		Writes: true, Callers: 1, Needs: []Need{NeedMessages}, settings: forActors, data: actorRecords,
		begin: func(s *session) (*work, error) {
			random, keys := s.newRandom(0), s.plan.Distribution.chooser(0, 1)
			return s.crowd(s.target.(Messenger).Sets(pipelined, func() (group, key, value string) {
				return dataGroup, s.keys.name(keys.next(random, s.plan.Keys)), s.sizes.value(random)
			}))
		},
		beside: &Workload{
			About: "1,000 goroutines that call", Writes: true, Callers: pipelined, settings: forActors, data: actorRecords,
			begin: func(s *session) (*work, error) {
				return &work{step: func(c *Caller) (Kind, error) { return s.setKey(c, c.Keys.next(c.Random, s.plan.Keys)) }}, nil
			},
		},
	},
	{
		Name: "persistence", About: "1,000 actors persist one event after another; beside it: one actor alone",
		Writes: true, Callers: 1, Needs: []Need{NeedPersistence}, ownKeys: true, fresh: true, settings: forActors, data: noActorRecords,
		begin: func(s *session) (*work, error) { return s.persist(persistent, actorBurst) },
		beside: &Workload{
			About: "one actor alone", Writes: true, Callers: 1, ownKeys: true, fresh: true, settings: forActors, data: noActorRecords,
			begin: func(s *session) (*work, error) { return s.persist(1, 1) },
		},
	},
	{
		Name: "subscribers", About: "overwrite a key of one of 1,000 groups that an actor each is subscribed to; beside it: with no subscriber",
		Writes: true, Needs: []Need{NeedActorSubscribe}, ownKeys: true, stamped: true, fresh: true, settings: forActors, data: noActorRecords,
		begin: (*session).subscribeActors,
		beside: &Workload{
			About: "no subscriber", Writes: true, ownKeys: true, stamped: true, fresh: true, settings: forActors, data: noActorRecords,
			begin: func(s *session) (*work, error) { return &work{step: s.setOfAudience(audienceGroups())}, nil },
		},
	},
	{
		Name: "timers", About: "overwrite keys while 100,000 durable timers, due within one second, are delivered to actors",
		Writes: true, Needs: []Need{NeedTimers}, stamped: true, cold: true, fresh: true, settings: forActors,
		data:   func(p *Plan) dataset { return dataset{name: "timers", keys: min(p.Keys, 10_000), sizes: p.ValueSize} },
		begin:  (*session).timers,
		length: func(*Plan) time.Duration { return timersRound },
	},
}

func actorRecords(p *Plan) dataset {
	return dataset{name: "actor-records", keys: p.Keys, sizes: p.ValueSize}
}
func noActorRecords(p *Plan) dataset { return dataset{name: "actors", sizes: p.ValueSize} }

// newRandom are the random numbers of an actor: those of callers are others.
func (s *session) newRandom(actor int) *rand.Rand {
	return newRandom(s.plan.Seed, uint64(actor)|1<<40)
}

// crowd waits for actors that are at work already.
func (s *session) crowd(crowd Crowd, err error) (*work, error) {
	return s.crowdOf(actorBurst, crowd, err)
}

func (s *session) crowdOf(burst int, crowd Crowd, err error) (*work, error) {
	if err != nil {
		return nil, err
	}
	return &work{
		burst:  burst,
		step:   func(*Caller) (Kind, error) { return Write, crowd.Await(s.ctx, burst) },
		settle: func(*measurement) error { return crowd.Stop() },
	}, nil
}

// askHot has each actor ask for hot keys, all as often.
func (s *session) askHot() func(actor int) (group, key string) {
	randoms := make([]*rand.Rand, getters)
	for i := range randoms {
		randoms[i] = s.newRandom(i)
	}
	return func(actor int) (group, key string) {
		return dataGroup, s.keys.name(randoms[actor].IntN(min(hotKeys, s.plan.Keys)))
	}
}

func (s *session) persist(actors, burst int) (*work, error) {
	randoms := make([]*rand.Rand, actors)
	for i := range randoms {
		randoms[i] = s.newRandom(i)
	}
	crowd, err := s.target.(Persister).Persist(actors, func(actor int) string { return s.sizes.value(randoms[actor]) })
	return s.crowdOf(burst, crowd, err)
}

func audienceGroups() []string {
	groups := make([]string, audience)
	for i := range groups {
		groups[i] = "audience-" + strconv.Itoa(i)
	}
	return groups
}

func (s *session) setOfAudience(groups []string) step {
	return func(c *Caller) (Kind, error) {
		group := groups[c.Random.IntN(len(groups))]
		return Write, s.target.Set(group, watchedKey, s.sizes.stamped(c.Random, clock()))
	}
}

func (s *session) subscribeActors() (*work, error) {
	got, groups := newReceipts(), audienceGroups()
	stop, err := s.target.(ActorSubscriber).SubscribeActors(groups, func(actor int, value string) {
		if at, ok := stamp(value); ok {
			got.receive(actor, at)
		}
	})
	if err != nil {
		return nil, err
	}
	return &work{
		step:  s.setOfAudience(groups),
		start: got.begin,
		settle: func(m *measurement) error {
			if err := s.awaitAll(got, m.calls, arrivalStall); err != nil {
				return err
			}
			if got.all() != m.calls {
				return fmt.Errorf("bench: %d events for subscribed actors: %d were received, and none of the others came for %v", m.calls, got.all(), arrivalStall)
			}
			m.delivery = newDelivered(audience, m.outcome.operations, got)
			return stop()
		},
	}, nil
}

const timersGroup = "timers"

// timers sets as many timers as Plan.Expiring says, mostTimers at most, spread evenly over
// one second, and has callers overwrite keys from the first that is due to the last that is
// delivered. Lags count from the deadline as its writer knows it.
func (s *session) timers() (*work, error) {
	got := newReceipts()
	got.begin() // there is no warm-up
	timer, n := s.target.(Timer), int64(min(s.plan.Expiring, mostTimers))
	stop, err := timer.OnTimer(receiver(got, 0))
	if err != nil {
		return nil, err
	}
	begin, err := s.setTimers(timer, int(n))
	if err != nil {
		return nil, err
	}
	if err := sleep(s.ctx, time.Duration(begin-clock())); err != nil {
		return nil, err
	}
	var over atomic.Bool
	number := min(s.plan.Keys, 10_000)
	return &work{
		step: func(c *Caller) (Kind, error) {
			if over.Load() || c.Calls%16 == 0 && got.all() >= n {
				over.Store(true)
				return Write, errExhausted
			}
			return s.setKey(c, c.Keys.next(c.Random, number))
		},
		settle: func(m *measurement) error {
			if err := s.awaitAll(got, n, expiryStall); err != nil {
				return err
			}
			if got.all() != n {
				return fmt.Errorf("bench: %d timers: %d were delivered, and none of the others for %v", n, got.all(), expiryStall)
			}
			m.expiry = newDelivered(1, n, got)
			return stop()
		},
	}, nil
}

// setTimers returns when the first of them is due.
func (s *session) setTimers(timer Timer, n int) (begin int64, err error) {
	random := s.newRandom(0)
	set := func(from, to int, due func(i int) int64) error {
		items, lives := make([]Item, 0, to-from), make([]int64, 0, to-from)
		for i := from; i < to; i++ {
			at := due(i)
			items = append(items, Item{timersGroup, hex(scramble(uint64(i))), s.sizes.stamped(random, at)})
			lives = append(lives, max(at-clock(), int64(time.Millisecond)))
		}
		return timer.SetTimers(items, lives)
	}
	// The first are set twice: to find out how long it takes.
	first, started := min(n, timersBatch), clock()
	if err := set(0, first, func(int) int64 { return started + int64(time.Hour) }); err != nil {
		return 0, err
	}
	begin = clock() + timersMargin*(clock()-started)*int64(n)/int64(first) + int64(timersLeast)
	for from := 0; from < n; from += timersBatch {
		err := set(from, min(from+timersBatch, n), func(i int) int64 { return begin + int64(time.Second)*int64(i)/int64(n) })
		if err != nil || s.ctx.Err() != nil {
			return 0, firstOf(err, s.ctx.Err())
		}
	}
	if late := clock() - begin; late > 0 {
		return 0, fmt.Errorf("bench: the first timer was due %v before the last was set: let the machine have less to do, or set fewer (--expiring)", time.Duration(late))
	}
	return begin, nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
