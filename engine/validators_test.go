package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// What may be asked of a system that tells others of its changes, each as a
// function that looks at nothing but what one subscriber was told and what the
// log holds. They know no reason why a promise was not kept.

// told is one thing that a subscriber was told, and in which of its loops: it
// may leave one and resume with the next.
type told struct {
	kv.Event
	loop int
}

// account is what one subscriber was told, up to a revision, and what of the
// log it should have been told: the events that match, from the first it asked
// for up to that revision.
type account struct {
	told []told
	log  []kv.Event
}

func (a account) changes() (changes []told) {
	for _, heard := range a.told {
		if heard.Type <= kv.EventExpire {
			changes = append(changes, heard)
		}
	}
	return changes
}

// gaps are the revisions that the subscriber was told it missed.
type gaps []kv.Gap

func (a account) gaps() (all gaps) {
	for _, heard := range a.told {
		if heard.Type == kv.EventGap {
			all = append(all, *heard.Gap)
		}
	}
	return all
}

func (g gaps) has(revision uint64) bool {
	return slices.ContainsFunc(g, func(gap kv.Gap) bool { return gap.From <= revision && revision <= gap.To })
}

type validator struct {
	name  string
	check func(account) error
}

var validators = []validator{
	{"ordered", ordered}, {"unique", unique}, {"reliable", reliable}, {"atomic", atomically},
	{"resumable", resumable}, {"bookmarkable", bookmarkable}, {"exact about gaps", exactGaps},
}

// ordered: revisions and times never run backwards.
func ordered(a account) error {
	var last told
	for _, heard := range a.changes() {
		if heard.Revision < last.Revision || heard.Timestamp.Before(last.Timestamp) {
			return fmt.Errorf("%v comes after %v", heard.Event, last.Event)
		}
		last = heard
	}
	return nil
}

// unique: what was told of a revision is not told of it again.
func unique(a account) error {
	last, over := uint64(0), make(map[uint64]bool)
	of := make(map[uint64]int)
	for _, event := range a.log {
		of[event.Revision]++
	}
	for _, heard := range a.changes() {
		if heard.Revision != last {
			over[last] = true
		}
		last = heard.Revision
		if of[last]--; over[last] || of[last] < 0 {
			return fmt.Errorf("%v is told twice", heard.Event)
		}
	}
	return nil
}

// reliable: every event is told, or that it was missed.
func reliable(a account) error {
	missed := a.gaps()
	seen := make(map[uint64]bool)
	for _, heard := range a.changes() {
		seen[heard.Revision] = true
	}
	for _, event := range a.log {
		if !seen[event.Revision] && !missed.has(event.Revision) {
			return fmt.Errorf("nothing is told of %v", event)
		}
	}
	return nil
}

// atomically: the events of a revision are told together, as they stand in the
// log to the last field, and nothing else.
func atomically(a account) error {
	of := make(map[uint64][]kv.Event)
	for _, event := range a.log {
		of[event.Revision] = append(of[event.Revision], event)
	}
	for rest := a.told; len(rest) > 0; {
		if rest[0].Type > kv.EventExpire {
			rest = rest[1:]
			continue
		}
		revision, n := rest[0].Revision, 0
		for n < len(rest) && rest[n].Revision == revision && rest[n].Type <= kv.EventExpire {
			n++
		}
		if len(of[revision]) != n {
			return fmt.Errorf("of revision %d %d events are told together, and it has %d", revision, n, len(of[revision]))
		}
		for i, event := range of[revision] {
			if rest[i].Event != event {
				return fmt.Errorf("%+v is told, and the log has %+v", rest[i].Event, event)
			}
		}
		rest = rest[n:]
	}
	return nil
}

// resumable: a loop goes on where the one before it was left.
func resumable(a account) error {
	missed := a.gaps()
	changes := a.changes()
	for i, heard := range changes {
		if i == 0 || heard.loop == changes[i-1].loop {
			continue
		}
		for _, event := range a.log {
			if event.Revision > changes[i-1].Revision && event.Revision < heard.Revision && !missed.has(event.Revision) {
				return fmt.Errorf("%v was left out between two loops", event)
			}
		}
		if heard.Revision <= changes[i-1].Revision {
			return fmt.Errorf("the next loop begins with %v, which the one before it had", heard.Event)
		}
	}
	return nil
}

// bookmarkable: what is told before a mark is everything up to it, what is told
// after it is beyond it, and no mark is told in vain.
func bookmarkable(a account) error {
	missed := a.gaps()
	position, seen := uint64(0), make(map[uint64]bool)
	for _, heard := range a.told {
		switch {
		case heard.Type == kv.EventProgress && heard.Revision <= position:
			return fmt.Errorf("a mark of %d after what was told of %d", heard.Revision, position)
		case heard.Type == kv.EventProgress:
			position = heard.Revision
			for _, event := range a.log {
				if event.Revision <= position && !seen[event.Revision] && !missed.has(event.Revision) {
					return fmt.Errorf("a mark of %d before %v", position, event)
				}
			}
		case heard.Revision < position:
			return fmt.Errorf("%v after a mark of %d", heard.Event, position)
		default:
			position, seen[heard.Revision] = heard.Revision, true
		}
	}
	return nil
}

// exactGaps: what was missed was not told, a gap lies between what was told
// before and after it, and it is one.
func exactGaps(a account) error {
	position := uint64(0)
	for i, heard := range a.told {
		if heard.Type != kv.EventGap {
			if heard.Revision < position {
				return fmt.Errorf("%v after revision %d", heard.Event, position)
			}
			position = heard.Revision
			continue
		}
		if heard.Gap.From <= position || heard.Gap.To < heard.Gap.From || heard.Revision != heard.Gap.To {
			return fmt.Errorf("gap %v after revision %d", *heard.Gap, position)
		}
		position = heard.Gap.To
		for _, other := range a.told[i+1:] {
			if other.Revision <= heard.Gap.To {
				return fmt.Errorf("%v was missed, and is told", other.Event)
			}
		}
	}
	return nil
}

// verify holds what a subscriber was told against every validator.
func verify(t *testing.T, name string, a account) {
	t.Helper()
	for _, v := range validators {
		if err := v.check(a); err != nil {
			t.Errorf("%s is not %s: %v", name, v.name, err)
		}
	}
}

// TestValidators: each notices what it is there for.
func TestValidators(t *testing.T) {
	at := time.Unix(1, 0)
	event := func(revision uint64, key string) kv.Event {
		return kv.Event{Group: "g", Key: key, Revision: revision, Timestamp: at.Add(time.Duration(revision))}
	}
	heard := func(e kv.Event, loop int) told { return told{e, loop} }
	mark := func(revision uint64) told { return told{kv.Event{Type: kv.EventProgress, Revision: revision}, 0} }
	gap := func(from, to uint64) told {
		return told{kv.Event{Type: kv.EventGap, Revision: to, Gap: &kv.Gap{From: from, To: to}}, 0}
	}
	log := []kv.Event{event(1, "a"), event(2, "a"), event(2, "b"), event(4, "a"), event(5, "a")}
	all := func(skip ...int) (all []told) {
		for i, e := range log {
			if !slices.Contains(skip, i) {
				all = append(all, heard(e, 0))
			}
		}
		return all
	}
	late := event(5, "a")
	late.Timestamp = at
	expiring := event(4, "a")
	expiring.ExpiresAt = at
	require.Empty(t, failures(account{all(), log}))
	require.Empty(t, failures(account{slices.Concat(all()[:3], []told{mark(3)}, all()[3:]), log}))
	require.Empty(t, failures(account{slices.Concat(all()[:1], []told{gap(2, 4)}, all()[4:]), log}))
	for _, test := range []struct {
		noticed string
		told    []told
	}{
		{"ordered", append(all(3), heard(event(4, "a"), 0))},
		{"ordered", append(all(4), heard(late, 0))},
		{"unique", slices.Concat(all()[:1], all())},
		{"unique", append(all(), all()[0])},
		{"reliable", all(3)},
		{"reliable", nil},
		{"atomic", all(2)},
		{"atomic", slices.Concat(all()[:2], []told{gap(7, 7)}, all()[2:])},
		{"atomic", slices.Concat(all()[:3], []told{heard(expiring, 0)}, all()[4:])},
		{"atomic", append(all(), heard(event(6, "a"), 0))},
		{"resumable", slices.Concat(all()[:3], []told{heard(log[4], 1)})},
		{"resumable", slices.Concat(all()[:4], []told{heard(log[3], 1), heard(log[4], 1)})},
		{"bookmarkable", slices.Concat(all()[:3], []told{mark(4)}, all()[3:])},
		{"bookmarkable", append(all(), mark(5))},
		{"exact about gaps", slices.Concat(all()[:3], []told{gap(2, 3)}, all()[3:])},
		{"exact about gaps", slices.Concat(all()[:3], []told{gap(3, 4)}, all()[3:])},
		{"exact about gaps", slices.Concat(all()[:3], []told{gap(4, 3)}, all()[3:])},
	} {
		require.Contains(t, failures(account{test.told, log}), test.noticed, "%v", test.told)
	}
}

func failures(a account) (names []string) {
	for _, v := range validators {
		if v.check(a) != nil {
			names = append(names, v.name)
		}
	}
	return names
}
