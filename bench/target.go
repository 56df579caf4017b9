package bench

import (
	"context"
	"errors"
)

// DropsUncountedError is what a Watcher's stop returns whose store loses events
// without a trace.
var DropsUncountedError = errors.New("bench: this store does not count the events that it drops")

// Target is an open store under test. All its methods, and those of the
// capabilities below that it has, are called by many goroutines at a time.
type Target interface {
	// Set writes one key. When it returns the write is as durable as the
	// target's Contender says.
	Set(group, key, value string) error
	Close() error
}

// What a target may be able to do beyond Set, each an interface that it has or
// has not. The slices and maps that they return are the caller's.
type (
	Getter interface {
		Get(group, key string) (value string, found bool, err error)
	}
	Deleter interface {
		// Delete removes a key; one that is not there is no error.
		Delete(group, key string) error
	}
	Lister interface {
		GetAll(group string) (map[string]string, error)
	}
	Pager interface {
		// Page reads at most limit keys with their values, in order, after
		// the first offset, and returns how many.
		Page(group string, offset, limit int) (int, error)
	}
	Scanner interface {
		// Scan reads at most limit keys with their values, in order, from the
		// first that is not less than key, and returns how many.
		Scan(group, key string, limit int) (int, error)
	}
	GroupDeleter interface {
		DeleteGroup(group string) error
	}
	// Expirer removes keys by itself when their time is over, and says so.
	Expirer interface {
		// SetWithTTL writes a key that lives for the given nanoseconds.
		SetWithTTL(group, key, value string, nanoseconds int64) error
		// OnExpire has receive called with the key and last value of each key
		// of the group that the target removed for its age. stop returns how
		// many removals were not told.
		OnExpire(group string, receive func(key, value string)) (stop func() (missed uint64, err error), err error)
	}
	// Watcher pushes changes to watchers that may lose some.
	Watcher interface {
		// Watch has receive called with the value of every write to a key
		// until stop, which returns when receive will not be called again, and
		// says how many changes this watcher lost.
		// Where drops are not counted the error of stop is DropsUncountedError.
		Watch(group, key string, receive func(value string)) (stop func() (dropped uint64, err error), err error)
	}
	// Subscriber pushes changes to subscribers that lose none.
	Subscriber interface {
		// Subscribe has receive called with the value of every write to a
		// group that begins after Subscribe returned. stop may be called once
		// everything was received.
		Subscribe(group string, receive func(value string)) (stop func() error, err error)
	}
	// Scoper gives views of namespaces, with quotas if the limits are not 0.
	Scoper interface {
		Scope(namespace string, maxKeys, maxGroups int) (Scope, error)
	}
	// Transactor runs functions as serialisable transactions, again if need be.
	Transactor interface {
		Transaction(function func(Transaction) error) error
		// Conflicts counts the runs that had to be repeated so far.
		Conflicts() uint64
	}
	// Messenger is used by actors, by message. Each of them works from the moment of the
	// call until the crowd stops; next is called by one actor at a time, whose number it
	// is told.
	Messenger interface {
		// Gets has actors read one key after another, which is there.
		Gets(actors int, next func(actor int) (group, key string)) (Crowd, error)
		// Echoes is Gets from an actor that only answers.
		Echoes(actors int, next func(actor int) (group, key string)) (Crowd, error)
		// Sets has one actor write keys, so many under way at a time.
		Sets(window int, next func() (group, key, value string)) (Crowd, error)
	}
	// Persister keeps the events of actors.
	Persister interface {
		// Persist has actors, as Messenger's, persist one event after another.
		Persist(actors int, next func(actor int) (event string)) (Crowd, error)
	}
	// ActorSubscriber pushes changes to actors, which lose none.
	ActorSubscriber interface {
		// SubscribeActors has an actor for each group call receive with the value of every
		// write to it that begins after SubscribeActors returned.
		SubscribeActors(groups []string, receive func(actor int, value string)) (stop func() error, err error)
	}
	// Timer tells actors of keys whose time is over, whatever happens in between.
	Timer interface {
		// SetTimers writes keys, in one commit, each with so many nanoseconds to live.
		SetTimers(items []Item, nanoseconds []int64) error
		// OnTimer has receive called, once, with the last value of each key that was
		// written so.
		OnTimer(receive func(value string)) (stop func() error, err error)
	}
	// Loader writes many keys faster than Set does. It prepares the ground and
	// is never measured.
	Loader interface {
		Load(items []Item) error
	}
	// CommitObserver shows which writes were committed together.
	CommitObserver interface {
		// OnCommit has observe called once a write, with a number that writes
		// of one commit share and no others.
		OnCommit(observe func(commit int64)) (stop func())
	}
)

// Crowd are actors at work.
type Crowd interface {
	// Await returns once they have done so many operations more, or with the error of
	// the first that failed, or when ctx ends.
	Await(ctx context.Context, operations int) error
	// Stop returns when none of them is at work any more.
	Stop() error
}

// Scope is a view of one namespace.
type Scope interface {
	Getter
	Deleter
	Set(group, key, value string) error
}

// Transaction is what a Transactor's function works with.
type Transaction interface {
	Getter
	Set(group, key, value string) error
}

// Item is one key to load.
type Item struct{ Group, Key, Value string }

// Contender is a kind of store that a run measures.
type Contender struct {
	// Name is what tables call it: lower case, short, unique in a run.
	Name string
	// Durability says in a few words what an acknowledged write survives.
	Durability string
	// Note is what a reader of the figures has to know besides.
	Note string
	// Ephemeral targets lose everything when they close, so they stay open
	// from one round to the next, and the time of their Close does not count.
	Ephemeral bool
	// Open opens or creates a store in a folder that is its own.
	Open func(folder string, settings Settings) (Target, error)
	// Excuses say why the target lacks a capability, by its name (see Need).
	Excuses map[Need]string
}

// Settings are what a workload asks of the stores that it opens.
type Settings struct {
	// EventBuffer is how many events to keep for each watcher; 0: as the store
	// does by default.
	EventBuffer int
	// Actors has the store be ready for actors.
	Actors bool
}

// Need names a capability that a workload needs.
type Need string

// The capabilities.
const (
	NeedGet            Need = "get"
	NeedDelete         Need = "delete"
	NeedGetAll         Need = "getall"
	NeedPage           Need = "page"
	NeedScan           Need = "scan"
	NeedGroupDelete    Need = "group-delete"
	NeedExpiry         Need = "expiry"
	NeedWatch          Need = "watch"
	NeedSubscribe      Need = "subscribe"
	NeedScope          Need = "scope"
	NeedTransaction    Need = "transaction"
	NeedMessages       Need = "messages"
	NeedPersistence    Need = "persistence"
	NeedActorSubscribe Need = "actor-subscribe"
	NeedTimers         Need = "timers"
	NeedReopen         Need = "reopen" // what was written is there after Close and Open
)

// has reports whether a target has a capability.
func (c *Contender) has(target Target, need Need) (ok bool) {
	switch need {
	case NeedGet:
		_, ok = target.(Getter)
	case NeedDelete:
		_, ok = target.(Deleter)
	case NeedGetAll:
		_, ok = target.(Lister)
	case NeedPage:
		_, ok = target.(Pager)
	case NeedScan:
		_, ok = target.(Scanner)
	case NeedGroupDelete:
		_, ok = target.(GroupDeleter)
	case NeedExpiry:
		_, ok = target.(Expirer)
	case NeedWatch:
		_, ok = target.(Watcher)
	case NeedSubscribe:
		_, ok = target.(Subscriber)
	case NeedScope:
		_, ok = target.(Scoper)
	case NeedTransaction:
		_, ok = target.(Transactor)
	case NeedMessages:
		_, ok = target.(Messenger)
	case NeedPersistence:
		_, ok = target.(Persister)
	case NeedActorSubscribe:
		_, ok = target.(ActorSubscriber)
	case NeedTimers:
		_, ok = target.(Timer)
	case NeedReopen:
		ok = !c.Ephemeral
	}
	return ok
}

// cannot says why a target can't do what a workload needs, or nothing.
func (c *Contender) cannot(target Target, needs []Need) string {
	for _, need := range needs {
		if c.has(target, need) {
			continue
		}
		if why := c.Excuses[need]; why != "" {
			return why
		}
		if need == NeedReopen {
			return "nothing of it is left after Close"
		}
		return "has no " + string(need)
	}
	return ""
}
