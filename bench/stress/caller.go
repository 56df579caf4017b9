package stress

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

const (
	ownKeys    = 24 // of each caller
	ownDeletes = 6  // one write in so many of an own key deletes it
)

// caller is one goroutine that calls the store. What it does next follows
// from the seed and from its own model; only the others' timing is chance.
type caller struct {
	*run
	number int
	random *rand.Rand
	group  string      // of its own keys
	owned  []*ownedKey // its own keys

	tenant         []*ownedKey        // its keys under the quota
	whole          *wholeGroups       // its groups that are written as a whole
	registerWrites uint64             // of registers, so far
	sums           [counterKeys]int64 // that it made, of each counter
	sessions       []session          // not known to be over
	sessionsBegun  uint64
	touches        uint64 // that it made

	kills uint64       // of the target, as far as it has noticed
	since atomic.Int64 // when its present call began, in Unix nanoseconds; 0 between calls
}

func newCaller(r *run, number int) *caller {
	c := &caller{run: r, number: number, random: rand.New(rand.NewPCG(r.config.Seed, uint64(number))),
		group: fmt.Sprintf("own-%04d", number)}
	for i := range ownKeys {
		c.owned = append(c.owned, newOwnedKey(c.group, fmt.Sprintf("key-%02d", i), ownDeletes))
	}
	c.tenant = newTenant(c.number, r.config.Callers)
	c.whole = newWholeGroups(number)
	return c
}

// work makes calls until ctx ends or as many steps as the run is bounded to
// are done.
func (c *caller) work(ctx context.Context) {
	for n := 0; ctx.Err() == nil && (c.config.Steps == 0 || n < c.config.Steps); n++ {
		c.step()
		c.steps.Add(1)
		if target, ok := c.target.(disturber); ok {
			c.afterKills(target.Killed().Kills)
		}
	}
}

// afterKills reads all that the caller has written when the store has ended
// since it last did.
func (c *caller) afterKills(kills uint64) {
	if kills == c.kills {
		return
	}
	c.kills = kills
	c.verifyOwn()
}

// verifyOwn compares all groups that only this caller writes with what it
// knows of them.
func (c *caller) verifyOwn() {
	c.verifyGroup(c.group, c.owned)
	c.verifyGroup(c.tenant[0].group, c.tenant)
	for _, g := range c.whole.groups {
		g.checked = 0
	}
	c.verifyWholeGroups()
}

// verifyGroup reads a whole group. Keys that are not as they ought to be are
// read once more each, to tell why.
func (c *caller) verifyGroup(group string, owned []*ownedKey) {
	rows, ok := c.rows(Call{Kind: GetAll, Group: group})
	if !ok {
		return
	}
	values := make(map[string]string, len(rows))
	for _, row := range rows {
		values[row.Key] = row.Value
	}
	for _, k := range owned {
		value, found := values[k.key]
		delete(values, k.key)
		if k.checked = k.number(); !c.expects(k, value, found) {
			c.mismatch(k, value, found)
		}
	}
	for key, value := range values {
		c.findings.add(PhantomWrite, "%s/%s: found %s, a key that nobody writes", group, key, brief(value, true))
	}
}

// step does one thing.
func (c *caller) step() {
	if len(c.data.items) > 0 && c.random.IntN(8) == 0 {
		c.readData()
		return
	}
	own := c.owned[c.random.IntN(len(c.owned))]
	switch dice := c.random.IntN(100); {
	case dice < 26:
		c.write(own)
	case dice < 30:
		c.verify(own)
	case dice < 40:
		c.readOther()
	case dice < 42:
		c.count()
	case dice < 44:
		c.writeWatched(own)
	case dice < 47:
		c.tryInVain(own)
	case dice < 49:
		c.touch(own)
	case dice < 51:
		c.revise()
	case dice < 56:
		c.writeRegister()
	case dice < 66:
		c.readRegister()
	case dice < 71:
		c.writeTenant()
	case dice < 76:
		c.writeWholeGroups()
	case dice < 83:
		c.scanWholeGroups()
	case dice < 88:
		c.addOne()
	case dice < 92:
		c.transfer()
	case dice < 94:
		c.audit()
	default:
		c.keepSession()
	}
}

// do makes one call and leaves a trace of it for the watchdog.
func (c *caller) do(call Call) Answer {
	began := time.Now()
	c.since.Store(began.UnixNano())
	answer := c.run.target.Do(call)
	c.since.Store(0)
	if call.Kind.Writes() && answer.Err == nil {
		c.settle(began)
	}
	c.calls[call.Kind].Add(1)
	return answer
}

// unexpected notes an error that no call has a reason for.
func (c *caller) unexpected(call Call, err error) {
	c.findings.add(CallFailed, "caller %d: %v %s/%s: %v", c.number, call.Kind, call.Group, call.Key, err)
}

// write makes the next write of a key of the caller's own. The last one was
// read by then, so that no lost write is covered up by the next.
func (c *caller) write(k *ownedKey) {
	if k.checked != k.number() {
		c.verify(k)
	}
	n, started := k.issued.Add(1), c.now()
	call := c.callOf(k, n, started)
	c.finish(k, n, started, call, c.do(call))
}

// finish notes what became of write n.
func (c *caller) finish(k *ownedKey, n, started uint64, call Call, answer Answer) {
	if answer.Err == nil {
		c.acknowledged(k, n, started, call)
		k.revision = answer.Revision
		c.saw(answer.Revision)
		return
	}
	if !c.inDoubt(answer.Err) {
		c.unexpected(call, answer.Err)
	}
	c.resolve(k, n, started, call)
}

// acknowledged notes that write n of a key took place, and its event.
func (c *caller) acknowledged(k *ownedKey, n, started uint64, call Call) {
	was := k.present()
	k.acknowledge(n, started, c.now())
	k.revision, k.expires = 0, call.Kind == SetWithTTL
	c.writes.Add(1)
	if !k.deletes(n) {
		c.ledger.committed(change{api.EventSet, k.group, k.key})
	} else if was {
		c.ledger.committed(change{api.EventDelete, k.group, k.key})
	}
}

// resolve finds out whether a write took place whose call did not say so. Its
// caller is the only one to write the key.
func (c *caller) resolve(k *ownedKey, n, started uint64, call Call) {
	value, found, ok := c.get(k.group, k.key)
	if !ok {
		return
	}
	c.doubts.Add(1)
	before := k.present()
	switch {
	case k.deletes(n) && !found, !k.deletes(n) && found && value == valueOf(k.group, k.key, n, started):
		c.acknowledged(k, n, started, call)
	case found == before && (!found || value == valueOf(k.group, k.key, k.number(), k.started)):
		// It did not take place.
	default:
		c.findings.add(LostWrite, "%v: found %s, neither write %d, whose outcome was unknown, nor write %d before it",
			k, brief(value, found), n, k.number())
	}
	k.checked = k.number()
}

// get reads a key.
func (c *caller) get(group, key string) (value string, found, ok bool) {
	answer, found, ok := c.look(Call{Kind: Get, Group: group, Key: key})
	return answer.Value, found, ok
}

// look is a call that finds a key or does not.
func (c *caller) look(call Call) (answer Answer, found, ok bool) {
	answer = c.do(call)
	if errors.Is(answer.Err, api.NotFoundError) {
		return Answer{}, false, true
	}
	if answer.Err != nil {
		c.unexpected(call, answer.Err)
		return Answer{}, false, false
	}
	return answer, true, true
}

// verify reads a key of the caller's own, of which it knows exactly what is there.
func (c *caller) verify(k *ownedKey) {
	read := c.get
	if c.random.IntN(2) == 0 || k.touched(k.number()) { // Get does not tell when it expires
		read = func(string, string) (string, bool, bool) { return c.entry(k) }
	}
	value, found, ok := read(k.group, k.key)
	if !ok {
		return
	}
	k.checked = k.number()
	if !c.expects(k, value, found) {
		c.mismatch(k, value, found)
	}
}

// mismatch reports that a key of the caller's own was not as it ought to be.
func (c *caller) mismatch(k *ownedKey, value string, found bool) {
	want := brief(valueOf(k.group, k.key, k.number(), k.started), k.present())
	c.findings.add(c.diagnose(k, value, found), "%v: found %s right after write %d was acknowledged, which left %s",
		k, brief(value, found), k.number(), want)
}

// expects reports whether the last acknowledged write left this.
func (c *caller) expects(k *ownedKey, value string, found bool) bool {
	if !k.present() {
		return !found
	}
	return found && value == valueOf(k.group, k.key, k.number(), k.started)
}

// diagnose looks again, by other ways too, to tell a read that was stale from
// a write that is gone.
func (c *caller) diagnose(k *ownedKey, value string, found bool) Violation {
	for range 3 {
		if value, found, ok := c.get(k.group, k.key); ok && c.expects(k, value, found) {
			return StaleRead
		}
	}
	answer := c.do(Call{Kind: GetAll, Group: k.group})
	again, there := "", false
	for _, row := range answer.Rows {
		if row.Key == k.key {
			again, there = row.Value, true
		}
	}
	if answer.Err == nil && c.expects(k, again, there) {
		return StaleRead
	}
	if n, _, ok := parse(k.group, k.key, value); found && (!ok || n > k.number()) {
		return PhantomWrite
	}
	return LostWrite
}

// readOther reads a key that another caller may be writing.
func (c *caller) readOther() {
	other := c.callers[c.random.IntN(len(c.callers))]
	k := other.owned[c.random.IntN(len(other.owned))]
	c.lookAgain(func() (Violation, string) {
		before := k.acked.Load()
		value, found, ok := c.get(k.group, k.key)
		if !ok {
			return "", ""
		}
		return k.judge(value, found, before, k.issued.Load())
	})
}

// lookAgain reports what a look at the store finds. When it misses something
// it is repeated, to tell a read that was stale from a write that is gone.
func (c *caller) lookAgain(look func() (Violation, string)) {
	violation, detail := look()
	if detail == "" {
		return
	}
	if violation == LostWrite || violation == StaleRead {
		violation = LostWrite
		for range 3 {
			if _, again := look(); again == "" {
				violation = StaleRead
			}
		}
	}
	c.findings.add(violation, "%s", detail)
}

// count compares the store's counts with the caller's own.
func (c *caller) count() {
	want := int64(0)
	for _, k := range c.owned {
		if k.present() {
			want++
		}
	}
	for _, kind := range []Kind{Count, CountAll} { // no other group begins like this one
		call := Call{Kind: kind, Group: c.group}
		if answer := c.do(call); answer.Err != nil {
			c.unexpected(call, answer.Err)
		} else if answer.Count != want {
			c.findings.add(WrongCount, "%v(%s) = %d, its only writer left %d keys", kind, c.group, answer.Count, want)
		}
	}
	call := Call{Kind: Groups, Group: c.group}
	if answer := c.do(call); answer.Err != nil {
		c.unexpected(call, answer.Err)
	} else if exists := len(answer.Names) == 1 && answer.Names[0] == c.group; exists != (want > 0) {
		c.findings.add(WrongCount, "Groups(%s) = %q, its only writer left %d keys", c.group, answer.Names, want)
	}
}

// writeWatched writes a key while watching it: when the call returns, the
// event has to be there.
func (c *caller) writeWatched(k *ownedKey) {
	watcher := c.target.Watch(k.group, k.key)
	if watcher == nil {
		c.write(k)
		return
	}
	defer watcher.Close()
	was, number := k.present(), k.number()
	c.write(k)
	n := k.number()
	if n == number || k.deletes(n) && !was {
		return
	}
	event, ok := watcher.Try()
	if !ok {
		if watcher.Dropped() == 0 {
			c.findings.add(EventLate, "%v: write %d has returned, and a watcher of the key has no event", k, n)
		}
		return
	}
	want := api.EventSet
	if k.deletes(n) {
		want = api.EventDelete
	}
	if got, _, _ := parse(k.group, k.key, event.Value); event.Type != want || want == api.EventSet && got != n {
		c.findings.add(EventOrder, "%v: write %d has returned, and the first event of a watcher is %v of write %d", k, n, event.Type, got)
	}
}
