package overlay

// prune lets go of the versions that the commit has replaced, as far as they are not pinned.
// Versions that no pin can see, between two pins too, go at once: a long read keeps its own
// snapshot, and not all that was written meanwhile.
func (o *Overlay) prune() {
	oldest, newest := o.pinned()
	r := o.working.active
	for i := range o.changes {
		v, b := o.changes[i].now, o.changes[i].before
		if b == nil {
			continue
		}
		if b.number > newest { // it is seen by no pin
			r.bytes.Add(-b.weight())
			v.before.Store(b.before.Load())
			if v.place, b.place = b.place, 0; v.place > 0 {
				o.kept[v.place-1].version = v
			}
			continue
		}
		o.kept = append(o.kept, kept{v, r})
		v.place = len(o.kept)
	}
	if len(o.kept) > 0 && (len(o.kept) <= fewKept || len(o.kept) >= 2*o.swept || newest == 0) {
		o.sweep(oldest)
	}
}

// pinned is the least number of a state that may be read, and the greatest of one
// that is pinned and no longer what is published, 0 if there is none.
func (o *Overlay) pinned() (oldest, newest uint64) {
	oldest = o.published.Load().number
	for _, s := range o.old {
		oldest, newest = min(oldest, s.number), max(newest, s.number)
	}
	return oldest, newest
}

// fewKept is how many versions are looked through after every commit.
const fewKept = 64

// sweep takes away what the versions replaced that every reader sees.
func (o *Overlay) sweep(oldest uint64) {
	left := o.kept[:0]
	for _, k := range o.kept {
		if k.version.number > oldest {
			left = append(left, k)
			k.version.place = len(left)
			continue
		}
		k.version.place = 0
		for v := k.version; ; {
			b := v.before.Swap(nil)
			if b == nil {
				break
			}
			k.run.bytes.Add(-b.weight())
			v = b
		}
	}
	clear(o.kept[len(left):])
	o.kept, o.swept = left, len(left)
	if len(left) == 0 && cap(left) > keptChanges {
		o.kept = nil
	}
}
