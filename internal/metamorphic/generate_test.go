package metamorphic

import (
	"math/bits"
	"strings"
	"syscall"
	"time"

	"forge.lthn.ai/core/go-store/api"

	"pgregory.net/rapid"
)

// What programs are drawn from. Names are few, so that operations meet each other.
var (
	groupNames = []string{"g", "h", "", "g\x00", "a:g", "b:g", "c:", "\xff", "a"}
	innerNames = []string{"g", "h", "", "i"}
	keyNames   = []string{"k", "l", "", "k\x00", "\xff\xff", "m"}
	prefixes   = []string{"", "g", "a:", "a", "b:g", "\xff", "nobody"}
	texts      = []string{"1", "-7", "", "text", "two words\tand\nthree", "a,b,,c", "07", "9223372036854775807", "\x00\xfe", "=SUM(1)"}
	lives      = []time.Duration{0, -time.Second, time.Millisecond, time.Second, time.Second, 2 * time.Second, time.Minute, 1500 * time.Microsecond}
	deltas     = []int64{1, -1, 5, 1 << 62, 0}
	writeCalls = []string{"Set", "Set", "Set", "SetWithTTL", "SetWithTTL", "Delete", "Delete", "Increment", "Touch", "Persist", "DeleteGroup", "DeletePrefix"}
	batchCalls = append([]string{"SetUntil"}, writeCalls...)
	steps      = []string{"writer.accept", "writer.begin", "writer.apply", "writer.commit", "writer.committed", "writer.publish",
		"writer.count", "writer.counted", "cache.commit", "cache.committed", "quota.count", "quota.committed", "quota.usage", "notifier.deliver"}
)

// drawing draws values. Labels are not worth their time: a program prints itself.
type drawing struct{ *rapid.T }

// below is a number from 0 to n-1, each about as likely as the others: rapid prefers small
// ones, which are mixed. What it makes smaller comes to 0, which is a little likelier.
func (d drawing) below(n int) int {
	high, _ := bits.Mul64(mixed(rapid.Uint64().Draw(d.T, "")), uint64(n))
	return int(high)
}

// mixed spreads a number over all of 64 bits (the finaliser of SplitMix64); 0 stays.
func mixed(n uint64) uint64 {
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

func (d drawing) oneIn(n int) bool { return d.below(n) == n-1 }

func pick[T any](d drawing, from []T) T { return from[d.below(len(from))] }

func (d drawing) on() int { return d.below(len(handles)) }

func (d drawing) group(on int) string {
	if on == 0 {
		return pick(d, groupNames)
	}
	return pick(d, innerNames)
}

func (d drawing) prefix(on int) string {
	if on == 0 {
		return pick(d, prefixes)
	}
	return pick(d, innerNames)
}

func (d drawing) key() string {
	if d.oneIn(60) {
		return strings.Repeat("x", 60+d.below(8)) // at the limit and over it
	}
	return pick(d, keyNames)
}

func (d drawing) text() string {
	if d.oneIn(40) {
		return strings.Repeat("v", 1<<d.below(12)) // up to twice the limit
	}
	return pick(d, texts)
}

func (d drawing) write(on int, calls []string) write {
	w := write{Call: pick(d, calls)}
	switch w.Call {
	case "DeletePrefix":
		w.Group = d.prefix(on)
		return w
	case "DeleteGroup":
		w.Group = d.group(on)
		return w
	}
	w.Group, w.Key = d.group(on), d.key()
	switch w.Call {
	case "Set":
		w.Value = d.text()
	case "SetWithTTL", "SetUntil":
		w.Value, w.TTL = d.text(), pick(d, lives)
	case "Touch":
		w.TTL = pick(d, lives)
	case "Increment":
		w.Delta = pick(d, deltas)
	}
	return w
}

func (d drawing) read(on int, calls ...[]string) read {
	from := calls[0]
	if len(calls) > 1 && d.oneIn(3) {
		from = calls[1+d.below(len(calls)-1)]
	}
	r := read{Call: pick(d, from)}
	switch r.Call {
	case "CountAll", "Groups", "GroupsSeq":
		r.Group = d.prefix(on)
		return r
	}
	r.Group = d.group(on)
	switch r.Call {
	case "Get", "Entry", "Exists", "AppendValue", "GetFields":
		r.Key = d.key()
	case "GetSplit":
		r.Key, r.Separator = d.key(), pick(d, []string{",", "", "a"})
	case "GetPage":
		r.Offset, r.Limit = d.below(5)-1, d.below(5)-1
	case "GetMany":
		for range d.below(4) {
			r.Keys = append(r.Keys, d.key())
		}
	}
	return r
}

func (d drawing) scan(on int) scan {
	s := scan{Reverse: d.oneIn(2), KeysOnly: d.oneIn(3), Limit: d.below(6)}
	if s.Exactly = d.oneIn(2); s.Exactly {
		s.Groups = d.group(on)
	} else {
		s.Groups = d.prefix(on)
	}
	if d.oneIn(3) {
		s.From = d.key()
	}
	if d.oneIn(3) {
		s.To = d.key()
	}
	return s
}

func (d drawing) settings() settings {
	s := settings{Memory: !d.oneIn(4), Reaper: d.oneIn(4), Callback: d.oneIn(2), Faults: d.oneIn(6),
		ReadCache: pick(d, []int{0, -1, 1, 8 << 10}), Readers: d.below(3), Buffer: pick(d, []int{0, 1, 3, 200})}
	s.Sync = !s.Memory && d.oneIn(6)
	s.NoMmap = !s.Memory && d.oneIn(3)
	s.Overlay = pick(d, []int64{0, 64 << 10, 64 << 10, 32 << 20})
	s.History = d.history()
	if s.History != (api.Retention{}) {
		s.Reaper = false
	}
	return s
}

func (d drawing) history() api.Retention {
	return pick(d, []api.Retention{{}, {}, {}, {Revisions: 1}, {Revisions: 20}, {Bytes: 2 << 10}})
}

// operation draws one. Those that take long are rare.
func (d drawing) operation() operation {
	on := d.on()
	switch n := d.below(202); {
	case n < 52:
		return single{on, d.write(on, writeCalls)}
	case n < 112:
		return reading{on, d.read(on, readCalls, scannerCalls, rendererCalls)}
	case n < 122:
		return conditional{on, pick(d, []string{"SetIfAbsent", "CompareAndSet", "CompareAndDelete"}), d.group(on), d.key(), d.text(), expectation(d.below(4))}
	case n < 126:
		o := setAll{On: on}
		for range d.below(4) {
			o.Items = append(o.Items, api.Item{Group: d.group(on), Key: d.key(), Value: d.text()})
		}
		return o
	case n < 136:
		return d.batch(on)
	case n < 144:
		return d.transaction(on)
	case n < 156:
		return scanning{on, d.below(4), d.below(4), d.scan(on)}
	case n < 158:
		return purge{on}
	case n < 164:
		return advance{pick(d, []time.Duration{time.Millisecond, 500 * time.Millisecond, time.Second, 3 * time.Second, time.Minute})}
	default:
		return d.kept(on, n-164)
	}
}

// kept draws what is kept between operations, and what is done to it.
func (d drawing) kept(on, n int) operation {
	switch {
	case n < 2:
		return jump{pick(d, []time.Duration{time.Second, time.Hour, -time.Second, -time.Hour})}
	case n < 5:
		return snapshot{on, d.below(3)}
	case n < 13:
		o := snapshotReading{Slot: d.below(3), Read: d.read(0, readCalls, scannerCalls)}
		if d.oneIn(4) {
			s := d.scan(0)
			o.Scan = &s
		}
		return o
	case n < 15:
		return watch{on, d.below(3), pick(d, []string{"*", "g", "h"}), pick(d, []string{"*", "k", ""})}
	case n < 19:
		return drained{d.below(3)}
	case n < 21:
		return d.subscribe(on)
	case n < 26:
		return pulled{d.below(3), 1 + d.below(20)}
	case n < 28:
		return history{on, d.group(on), d.key()}
	case n < 30:
		return usage{pick(d, []string{"a", "b", "c"})}
	case n < 31:
		return verification{}
	case n < 33:
		return fault{pick(d, steps)}
	case n < 35:
		return d.broken(on)
	default:
		return d.file()
	}
}

// broken draws a fault. EACCES of a lock is none: it says that another process has it, and is
// waited for.
func (d drawing) broken(on int) operation {
	o := broken{Call: pick(d, []string{"write", "write", "read", "shmlock", "", ""}), Kind: pick(d, []string{"wal", "", ""}),
		After: d.below(4) * d.below(2), Error: pick(d, []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS}),
		Once: d.oneIn(2)}
	switch d.below(4) {
	case 0:
		o.Read = &reading{on, d.read(on, readCalls, scannerCalls, rendererCalls)}
	case 1:
		o.Batch = &batch{On: on, Writes: []write{d.write(on, batchCalls), d.write(on, batchCalls)}}
	default:
		o.Write = &single{on, d.write(on, writeCalls)}
	}
	return o
}

func (d drawing) batch(on int) operation {
	o := batch{On: on}
	for range d.below(5) {
		o.Writes = append(o.Writes, d.write(on, batchCalls))
	}
	for range d.below(3) {
		o.Conditions = append(o.Conditions, batchCondition{d.group(on), d.key(), expectation(d.below(4))})
	}
	return o
}

func (d drawing) transaction(on int) operation {
	o := transaction{On: on, Fail: d.oneIn(8)}
	for range 1 + d.below(6) {
		if d.oneIn(2) {
			o.Steps = append(o.Steps, step{Read: d.read(on, readCalls)})
		} else {
			o.Steps = append(o.Steps, step{Write: d.write(on, writeCalls)})
		}
	}
	if d.oneIn(3) {
		other := d.on()
		o.Between, o.Interrupt = &single{other, d.write(other, writeCalls)}, d.below(len(o.Steps))
	}
	return o
}

func (d drawing) subscribe(on int) operation {
	o := subscribe{On: on, Slot: d.below(3), State: d.oneIn(4), Slow: api.SlowPolicy(d.below(3)), Buffer: pick(d, []int{0, 1, 4})}
	if !o.State {
		o.Back = d.below(12) - 1
	}
	if d.oneIn(2) {
		o.Group = d.prefix(on)
	}
	if d.oneIn(4) {
		o.Key = pick(d, keyNames)
	}
	return o
}

// file draws an operation on files. They take milliseconds.
func (d drawing) file() operation {
	with := func() settings {
		s := d.settings()
		s.Discard = d.oneIn(6)
		return s
	}
	switch d.below(13) {
	case 0, 1:
		return reopen{with()}
	case 2, 3:
		return kill{with()}
	case 4, 5:
		return backup{d.below(2)}
	case 6, 7:
		return restore{d.below(2)}
	case 8:
		return readOnly{}
	case 9:
		return compact{}
	case 10:
		return check{}
	case 11:
		return fold{d.group(0)}
	default:
		return salvage{}
	}
}

var (
	anySettings  = rapid.Custom(func(t *rapid.T) settings { return drawing{t}.settings() })
	anyOperation = rapid.Custom(func(t *rapid.T) operation { return drawing{t}.operation() })
	// inStorm has the disk fail in every second operation.
	inStorm = rapid.Custom(func(t *rapid.T) operation {
		d := drawing{t}
		if d.oneIn(2) {
			return d.broken(d.on())
		}
		return d.operation()
	})
)

// draw draws a program, of as many operations as rapid's steps are: a state machine's
// steps are what rapid removes one by one from a program that fails.
func draw(t *rapid.T) program {
	p, operations := program{settings: anySettings.Draw(t, "settings")}, anyOperation
	if !p.settings.Memory && rapid.IntRange(0, 3).Draw(t, "storm") == 3 {
		operations = inStorm
	}
	t.Repeat(map[string]func(*rapid.T){"operation": func(t *rapid.T) {
		p.operations = append(p.operations, operations.Draw(t, ""))
	}})
	return p
}
