package notifier

import "forge.lthn.ai/core/go-store/kv"

// Listeners are at most limit of the watchers and of the subscribers that there are,
// in no order. It reads what the notifier publishes, and neither waits for it nor holds
// it up; while listeners come and go, one may be missing or be there already.
func (r Ref) Listeners(limit int) (all []kv.Listener, more bool) {
	r.index.visit(func(w *Watcher) bool {
		if more = len(all) == limit; !more {
			all = append(all, w.listener())
		}
		return !more
	})
	if more {
		return all, true
	}
	r.subscribed.visit(func(s *Subscription) bool {
		if more = len(all) == limit; !more {
			all = append(all, s.listener())
		}
		return !more
	})
	return all, more
}

func (w *Watcher) listener() kv.Listener {
	l := kv.Listener{Filters: []kv.Filter{w.filter}, Dropped: w.dropped.Load()}
	if w.pid != nil {
		l.Kind = kv.ListenerActor
		return l
	}
	l.Waiting, l.Capacity = len(w.events), cap(w.events)
	return l
}

func (s *Subscription) listener() kv.Listener {
	return kv.Listener{Kind: kv.ListenerSubscriber, Filters: s.filters, Capacity: int(s.limit), Waiting: s.waiting(), Behind: s.Behind() != 0}
}
