package conformance

import (
	"errors"
	"fmt"
	"slices"
)

var replayChecks = []check{
	{"AnActorThatIsNewHasNothing", 0, newHasNothing},
	{"EventsComeBackInOrder", 0, eventsInOrder},
	{"RangesEndBeforeTheirEnd", 0, ranges},
	{"TheNewestSnapshotCounts", 0, newestSnapshot},
	{"ReplayBeginsAtTheSnapshotsIndex", 0, replayOverSnapshot},
	{"ActorsDoNotMeet", 0, actorsDoNotMeet},
	{"NamesAreBytes", AnyName, names},
	{"LongHistories", 0, longHistory},
}

func newHasNothing(s *subject) error {
	state, err := s.state()
	if err != nil {
		return err
	}
	if snapshot, index, ok := state.GetSnapshot("nobody"); snapshot != nil || index != 0 || ok {
		return fmt.Errorf("GetSnapshot: %v, %d, %v", snapshot, index, ok)
	}
	return same("events", eventsOf(state, "nobody", 0, 0), nil)
}

func eventsInOrder(s *subject) error {
	state, err := s.state()
	if err != nil {
		return err
	}
	for n := range 40 { // hexadecimal and decimal, one digit and two
		if err := same(fmt.Sprint(n, " events"), eventsOf(state, "a", 0, 0), eventTexts("a", 0, n)); err != nil {
			return err
		}
		persist(state, "a", n, n+1)
	}
	return nil
}

func ranges(s *subject) error {
	state, err := s.state()
	if err != nil {
		return err
	}
	const n = 20
	persist(state, "a", 0, n)
	for from := 0; from <= n; from++ {
		if err := same(fmt.Sprintf("from %d, without an end", from), eventsOf(state, "a", from, 0), eventTexts("a", from, n)); err != nil {
			return err
		}
		for to := max(from, 1); to <= n; to++ {
			if err := same(fmt.Sprintf("from %d and before %d", from, to), eventsOf(state, "a", from, to), eventTexts("a", from, to)); err != nil {
				return err
			}
		}
	}
	return nil
}

func newestSnapshot(s *subject) error {
	state, err := s.state()
	if err != nil {
		return err
	}
	persist(state, "a", 0, 30)
	for _, index := range []int{0, 1, 2, 9, 10, 15, 16, 17, 29, 30, 30} {
		state.PersistSnapshot("a", index, message(snapshotText("a", index)))
		snapshot, got, ok := state.GetSnapshot("a")
		if !ok || got != index || text(snapshot) != snapshotText("a", index) {
			return fmt.Errorf("GetSnapshot after one with index %d: %v, %d, %v", index, snapshot, got, ok)
		}
	}
	return nil
}

// replayOverSnapshot: a snapshot with an index stands for the events before that one.
func replayOverSnapshot(s *subject) error {
	provider, err := s.use(1 << 30)
	if err != nil {
		return err
	}
	for snapshot := range 8 {
		for extra := range 4 {
			name := fmt.Sprintf("snapshot %d of %d", snapshot, snapshot+extra)
			state, _, err := incarnate(provider, name)
			if err != nil {
				return err
			}
			persist(state, name, 0, snapshot)
			state.PersistSnapshot(name, snapshot, message(snapshotText(name, snapshot)))
			persist(state, name, snapshot, snapshot+extra)
			_, got, err := incarnate(provider, name)
			want := &recovered{snapshotText(name, snapshot), snapshot, eventTexts(name, snapshot, snapshot+extra)}
			if err != nil || !got.equal(want) {
				return fmt.Errorf("%s: recovered %v (%w), want %v", name, got, orNone(err), want)
			}
		}
	}
	return nil
}

func orNone(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

// actorsDoNotMeet: names that begin like others, or look like what providers make keys of.
func actorsDoNotMeet(s *subject) error {
	return apart(s, []string{"a", "A", "aa", "a/", "a/b", "a/b/c", "b", "a-1", "a-10", "a.event.1", "$1", "$1/$2"})
}

func names(s *subject) error {
	long := make([]byte, 4000)
	for i := range long {
		long[i] = byte(i)
	}
	all := []string{"", " ", "\x00", "a\x00", "a\x00b", "\x00a", "/", "//", ":", "a:b", "*", "%", "_", "'; DROP TABLE events; --",
		"\xff", "\xff\xff", "a\xff", "\xc3\x28", "ü", "u\u0308", "a\nb", string(long), string(long[:3999])}
	for _, b := range []byte("\x00\x01\t\n\r\x1b\"#$&'*,./:;<?@[\\]^_`{|~\x7f\x80\xbf\xc0\xc1\xf5\xfe\xff") {
		all = append(all, "byte "+string([]byte{b}))
	}
	return apart(s, all)
}

// apart has actors write in turn; each finds its own.
func apart(s *subject, names []string) error {
	provider, err := s.use(1 << 30)
	if err != nil {
		return err
	}
	state := provider.GetState()
	for i := range 3 {
		for _, name := range names {
			persist(state, name, i, i+1)
		}
		for _, name := range names {
			if i == 1 {
				state.PersistSnapshot(name, 2, message(snapshotText(name, 2)))
			}
		}
	}
	for _, name := range names {
		_, got, err := incarnate(provider, name)
		want := &recovered{snapshotText(name, 2), 2, eventTexts(name, 2, 3)}
		if err != nil || !got.equal(want) {
			return fmt.Errorf("%.40q: recovered %v (%w), want %v", name, got, orNone(err), want)
		}
		if err := same(name, eventsOf(state, name, 0, 0), eventTexts(name, 0, 3)); err != nil {
			return err
		}
	}
	return nil
}

// longHistory is more than a provider will read at once, with events of several sizes.
func longHistory(s *subject) error {
	state, err := s.state()
	if err != nil {
		return err
	}
	var want []string
	for i := range 600 {
		event := eventText("a", i)
		if i%100 == 50 {
			event += string(make([]byte, 300<<10))
		}
		state.PersistEvent("a", i, message(event))
		want = append(want, event)
	}
	if got := eventsOf(state, "a", 0, 0); !slices.Equal(got, want) {
		return fmt.Errorf("of %d events %d come back, or others", len(want), len(got))
	}
	// What is written by the callback is no surprise: a slow actor holds no other actor up.
	index, inner := 0, error(nil)
	state.GetEvents("a", 0, len(want), func(any) {
		if index%100 == 0 {
			inner = errors.Join(inner, caught(func() { persist(state, "b", index/100, index/100+1) }))
		}
		index++
	})
	return errors.Join(inner, same("of another, written meanwhile", eventsOf(state, "b", 0, 0), eventTexts("b", 0, 6)))
}
