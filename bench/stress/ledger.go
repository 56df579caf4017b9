package stress

import (
	"slices"
	"strings"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/api"
)

// change is an event that the store owes to its watchers.
type change struct {
	what       api.EventType
	group, key string
}

// account is how many events a watcher is owed.
type account struct {
	group, key string        // what it watches
	prefixes   []string      // or, of a subscriber that does not follow everything, what its groups begin with
	certain    atomic.Uint64 // of changes that took place
	doubtful   atomic.Uint64 // of changes that may have
}

// matches is the rule of api.Watch.
func (a *account) matches(c change) bool {
	if a.prefixes != nil {
		return slices.ContainsFunc(a.prefixes, func(prefix string) bool { return strings.HasPrefix(c.group, prefix) })
	}
	if a.group != "*" && a.group != c.group {
		return false
	}
	return a.key == "*" || a.key == c.key // a deleted group has the key ""
}

// everything reports whether it matches every change.
func (a *account) everything() bool { return a.group == "*" && a.key == "*" && a.prefixes == nil }

// ledger keeps the accounts of the watchers that last as long as the run.
type ledger struct {
	accounts []*account
	changes  atomic.Uint64 // that took place
	expiries atomic.Uint64 // of these
}

// committed notes changes that took place.
func (l *ledger) committed(changes ...change) {
	l.changes.Add(uint64(len(changes)))
	for _, c := range changes {
		if c.what == api.EventExpire {
			l.expiries.Add(1)
		}
	}
	for _, a := range l.accounts {
		for _, c := range changes {
			if a.matches(c) {
				a.certain.Add(1)
			}
		}
	}
}

// doubtful notes changes whose outcome stays unknown.
func (l *ledger) doubtful(changes ...change) {
	for _, a := range l.accounts {
		for _, c := range changes {
			if a.matches(c) {
				a.doubtful.Add(1)
			}
		}
	}
}
