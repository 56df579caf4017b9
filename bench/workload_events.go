package bench

import (
	"errors"
	"fmt"
	"time"
)

const (
	watchedKey  = "watched"
	subscribers = 16
	// arrivalStall is how long not one of the events that are left may come.
	arrivalStall = 30 * time.Second
)

var eventWorkloads = []Workload{
	watch(1), watch(100), watch(10_000),
	{
		Name: "subscribe", About: "overwrite a key, with 16 subscribers that receive every write and lose none",
		Writes: true, Needs: []Need{NeedSubscribe}, stamped: true, fresh: true,
		data:  func(p *Plan) dataset { return dataset{name: "subscribe", keys: p.Keys, sizes: p.ValueSize} },
		begin: (*session).subscribe,
	},
}

func watch(watchers int) Workload {
	audience := fmt.Sprintf("%d watchers", watchers)
	if watchers == 1 {
		audience = "one watcher"
	}
	return Workload{
		Name: fmt.Sprintf("watch-%d", watchers), About: "overwrite one key, with " + audience + " of it that may lose events",
		Callers: 1, Needs: []Need{NeedWatch}, ownKeys: true, stamped: true, fresh: true,
		data:  func(p *Plan) dataset { return dataset{name: "watch", sizes: p.ValueSize} },
		begin: func(s *session) (*work, error) { return s.watch(watchers) },
	}
}

// stampedSet writes a key with the moment of the call in its value.
func (s *session) stampedSet(c *Caller, key string) (Kind, error) {
	return Write, s.target.Set(dataGroup, key, s.sizes.stamped(c.Random, clock()))
}

// receiver is what a watcher or subscriber calls for each event.
func receiver(got *receipts, number int) func(value string) {
	return func(value string) {
		if at, ok := stamp(value); ok {
			got.receive(number, at)
		}
	}
}

func (s *session) watch(watchers int) (*work, error) {
	got := newReceipts()
	stops := make([]func() (uint64, error), watchers)
	for i := range stops {
		stop, err := s.target.(Watcher).Watch(dataGroup, watchedKey, receiver(got, i))
		if err != nil {
			return nil, err
		}
		stops[i] = stop
	}
	return &work{
		step:  func(c *Caller) (Kind, error) { return s.stampedSet(c, watchedKey) },
		start: got.begin,
		finish: func(m *measurement) error {
			// Closing ended the watchers, at less cost than one by one. What is
			// in their channels still arrives before stop returns.
			told, silent := int64(0), false
			for _, stop := range stops {
				dropped, err := stop()
				silent = silent || errors.Is(err, DropsUncountedError)
				if err != nil && !silent {
					return err
				}
				told += int64(dropped)
			}
			m.delivery = newDelivered(watchers, m.outcome.operations*int64(watchers), got)
			m.delivery.silent = silent && m.delivery.received < m.delivery.expected
			if all := m.calls * int64(watchers); !silent && got.all()+told != all {
				return fmt.Errorf("bench: %d events for watchers: %d were received and %d are said to be dropped", all, got.all(), told)
			}
			return nil
		},
	}, nil
}

func (s *session) subscribe() (*work, error) {
	got := newReceipts()
	stops := make([]func() error, subscribers)
	for i := range stops {
		stop, err := s.target.(Subscriber).Subscribe(dataGroup, receiver(got, i))
		if err != nil {
			return nil, err
		}
		stops[i] = stop
	}
	end := func() error {
		var errs []error
		for _, stop := range stops {
			errs = append(errs, stop())
		}
		return errors.Join(errs...)
	}
	return &work{
		step: func(c *Caller) (Kind, error) {
			return s.stampedSet(c, s.keys.name(c.Keys.next(c.Random, s.plan.Keys)))
		},
		start: got.begin,
		settle: func(m *measurement) error {
			all := m.calls * subscribers
			if err := s.awaitAll(got, all, arrivalStall); err != nil {
				return errors.Join(err, end())
			}
			if got.all() != all {
				return errors.Join(fmt.Errorf("bench: %d events for subscribers: %d were received, and none of the others came for %v", all, got.all(), arrivalStall), end())
			}
			m.delivery = newDelivered(subscribers, m.outcome.operations*subscribers, got)
			return end()
		},
	}, nil
}

// awaitAll waits until so many events were received, or none came for a while.
func (s *session) awaitAll(got *receipts, events int64, stall time.Duration) error {
	last, since := got.all(), clock()
	for last < events && clock()-since < int64(stall) {
		if err := sleep(s.ctx, time.Millisecond); err != nil {
			return err
		}
		if now := got.all(); now != last {
			last, since = now, clock()
		}
	}
	return nil
}
