package certmagicstore

import (
	"context"
	"crypto/rand"
	"errors"
	"math"
	"sync"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// LostError: a lock is not held, or not any more: its lease ran out before it was renewed,
// so that another holder may have it, or it was removed by other means. Test with errors.Is.
var LostError = errors.New("the lock is not held, or its lease has run out")

// leases are the locks that a Storage holds.
type leases struct {
	sync.Mutex
	by map[string]*lease
}

// lease is a lock that is held: a row with a token that no other has, which expires. What
// changes the row is conditioned on the revision at which the token was seen in it.
type lease struct {
	token string
	stop  context.CancelFunc // ends the renewals
	ended chan struct{}      // they have ended
}

// Lock waits until it has the lock of a name. It is held until Unlock: a goroutine renews
// its lease. A caller that waits gets it when it is released, or when the lease of a holder that
// died has run out, by the store's clock; never before. A context that ends while it waits
// ends it; one that has ended before still has a lock that is free, as in FileStorage.
//
// With a lock that it holds itself, a Storage waits as for any other holder's.
func (s *Storage) Lock(ctx context.Context, name string) error {
	for {
		held, err := s.acquireOrWait(ctx, name)
		if held || err != nil {
			return wrap("Lock", name, err)
		}
	}
}

// acquireOrWait has the lock, or returns when it may be free.
func (s *Storage) acquireOrWait(ctx context.Context, name string) (held bool, err error) {
	waiting, wake := context.WithCancel(ctx)
	defer wake()
	// It begins here, before the attempt: no release falls in between.
	events := s.store.Subscribe(waiting, api.SubscribeOptions{
		Filters: []api.Filter{{Group: api.Exactly(s.locks), Key: api.Exactly(name)}}})
	if held, err = s.acquire(ctx, name); held || err != nil {
		return held, err
	}
	entry, err := api.InContext(ctx, s.store).Entry(s.locks, name)
	if err != nil {
		if errors.Is(err, api.NotFoundError) { // released meanwhile
			err = nil
		}
		return false, err
	}
	// The end of a lease is no event: that its row was removed is one, a purge interval later.
	alarm := time.AfterFunc(s.untilEnd(entry.ExpiresAt), wake)
	defer alarm.Stop()
	for event, err := range events {
		var compacted *api.CompactedError
		switch {
		case waiting.Err() != nil && ctx.Err() == nil, errors.As(err, &compacted):
			return false, nil
		case err != nil:
			return false, err
		case event.Type != api.EventSet:
			return false, nil
		}
		alarm.Reset(s.untilEnd(event.ExpiresAt))
	}
	return false, nil
}

// untilEnd is how long a waiting caller leaves a lease alone. The store's clock may be another
// than the machine's: such a store is asked ten times a second if it is behind, and once in
// the length of a lease if it is ahead.
func (s *Storage) untilEnd(expiresAt time.Time) time.Duration {
	if expiresAt.IsZero() { // written by others: no lease
		return math.MaxInt64
	}
	return max(min(time.Until(expiresAt), s.lease), 100*time.Millisecond)
}

// TryLock is Lock that does not wait for a holder: false if the lock is held.
func (s *Storage) TryLock(ctx context.Context, name string) (bool, error) {
	held, err := s.acquire(ctx, name)
	return held, wrap("TryLock", name, err)
}

// acquire has the lock if it is free. If its context ends meanwhile the row may be there;
// no goroutine renews it then.
func (s *Storage) acquire(ctx context.Context, name string) (bool, error) {
	if ctx.Err() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	token := rand.Text()
	_, err := api.InContext(ctx, s.store).Batch(new(api.Batch).IfAbsent(s.locks, name).SetWithTTL(s.locks, name, token, s.lease))
	var taken *api.RevisionMismatchError
	switch {
	case errors.As(err, &taken):
		return false, nil
	case err != nil:
		return false, err
	}
	renewing, stop := context.WithCancel(context.Background())
	l := &lease{token: token, stop: stop, ended: make(chan struct{})}
	s.held.Lock()
	if s.held.by == nil {
		s.held.by = map[string]*lease{}
	}
	old := s.held.by[name]
	s.held.by[name] = l
	s.held.Unlock()
	if old != nil { // its lease had run out: this one could not be had otherwise
		old.stop()
	}
	go s.renewals(renewing, name, l)
	return true, nil
}

// renewals renews a lease until it is released or lost, or the store is closed, which the
// watcher tells.
func (s *Storage) renewals(ctx context.Context, name string, l *lease) {
	defer close(l.ended)
	watcher := s.store.Watch(s.locks, name)
	defer s.store.Unwatch(watcher)
	ticker := time.NewTicker(s.lease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-watcher.Events:
			if !open {
				return
			}
		case <-ticker.C:
			err := s.renew(ctx, name, l)
			switch {
			case ctx.Err() != nil:
				return
			case errors.Is(err, LostError):
				s.logger.Error("a lock was lost", "lock", name, "error", err)
				return
			case err != nil: // a full disk, say: there are two more tries
				s.logger.Warn("the lease of a lock could not be renewed", "lock", name, "error", err)
			}
		}
	}
}

// renew has a lease begin anew.
func (s *Storage) renew(ctx context.Context, name string, l *lease) error {
	return s.onRow(ctx, name, l, func(store api.Storer, revision uint64) error {
		_, err := store.Batch(new(api.Batch).IfRevision(s.locks, name, revision).Touch(s.locks, name, s.lease))
		return err
	})
}

// onRow changes the row of a lock, if it is still the lease's.
func (s *Storage) onRow(ctx context.Context, name string, l *lease, change func(store api.Storer, revision uint64) error) error {
	store := api.InContext(ctx, s.store)
	for {
		entry, err := store.Entry(s.locks, name)
		switch {
		case errors.Is(err, api.NotFoundError), err == nil && entry.Value != l.token:
			return LostError
		case err != nil:
			return err
		}
		var changed *api.RevisionMismatchError
		if err = change(store, entry.Revision); !errors.As(err, &changed) {
			return err
		}
	}
}

// RenewLockLease has the lease of a lock that is held begin anew: Options.Lease, whatever length
// is asked for. The lock is renewed for as long as its holder lives; certmagic asks for up to 30
// days before it tries again, and after a kill a lease of that length would keep others from
// the certificate as long. It fails with LostError if this Storage does not hold the lock.
func (s *Storage) RenewLockLease(ctx context.Context, name string, _ time.Duration) error {
	l := s.lookup(name)
	if l == nil {
		return wrap("RenewLockLease", name, LostError)
	}
	return wrap("RenewLockLease", name, s.renew(ctx, name, l))
}

// Unlock releases a lock, whether or not the context has ended. It fails with LostError if
// this Storage does not hold it any more: what it was held for may have been done by two.
// After any other error it may be called again; the lease runs out by itself.
func (s *Storage) Unlock(ctx context.Context, name string) error {
	l := s.lookup(name)
	if l == nil {
		return wrap("Unlock", name, LostError)
	}
	l.stop()
	<-l.ended
	err := s.onRow(context.WithoutCancel(ctx), name, l, func(store api.Storer, revision uint64) error {
		return store.CompareAndDelete(s.locks, name, revision)
	})
	if err == nil || errors.Is(err, LostError) || errors.Is(err, api.ClosedError) {
		s.held.Lock()
		if s.held.by[name] == l {
			delete(s.held.by, name)
		}
		s.held.Unlock()
	}
	return wrap("Unlock", name, err)
}

func (s *Storage) lookup(name string) *lease {
	s.held.Lock()
	defer s.held.Unlock()
	return s.held.by[name]
}
