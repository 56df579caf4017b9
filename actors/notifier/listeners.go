package notifier

import "forge.lthn.ai/core/go-store/kv"

// Listeners are at most limit of the watchers and of the subscribers that there are,
// in no order. It reads what the notifier publishes, and neither waits for it nor holds
// it up; while listeners come and go, one may be missing or be there already.
func (r Ref) Listeners(limit int) (all []kv.Listener, more bool) {
	r.index.some(func(w *Watcher) bool {
		if more = len(all) == limit; !more {
			all = append(all, w.listener())
		}
		return !more
	})
	if more {
		return all, true
	}
	seen := make(map[*Subscription]bool) // one with several filters stands in the index as often
	add := func(s *Subscription) bool {
		if seen[s] {
			return true
		}
		if more = len(all) == limit; !more {
			seen[s] = true
			all = append(all, s.listener())
		}
		return !more
	}
	for _, s := range *r.subscribed.everything.Load() {
		if !add(s) {
			return all, true
		}
	}
	r.subscribed.changes.some(add)
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
	l := kv.Listener{Kind: kv.ListenerSubscriber, Filters: s.filters, Capacity: int(s.limit), Behind: s.behind.Load() != 0}
	l.Waiting = int(s.queued.Load())
	if l.Behind {
		l.Waiting += int(max(s.past.Load()-s.read.Load(), 0))
	}
	return l
}

// some calls visit with every listener, once for each of its filters, until it returns
// false. Anybody may call it.
func (x *index[T]) some(visit func(T) bool) {
	going := true
	each := func(listeners []T) {
		for _, listener := range listeners {
			if going = going && visit(listener); !going {
				return
			}
		}
	}
	for i := range x.shards {
		if m := x.shards[i].Load(); m != nil {
			for _, listeners := range *m {
				each(listeners)
				if !going {
					return
				}
			}
		}
	}
	if p := x.prefixes.Load(); p != nil && going {
		p.groups.each(func(k keys[T]) { k.visit(each) })
		p.exact.each(func(k keys[T]) { k.visit(each) })
		p.any.each(each)
	}
}
