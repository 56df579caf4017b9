package stress

import (
	"fmt"
	"sync"
)

// Violation names a promise that was broken.
type Violation string

// The violations. Which observation proves each is in docs/adr/0022.
const (
	LostWrite      Violation = "lost-write"      // an acknowledged write is not there
	PhantomWrite   Violation = "phantom-write"   // something is there that no caller wrote, or that was refused
	StaleRead      Violation = "stale-read"      // a read missed what was there before it began
	ExpiredRead    Violation = "expired-read"    // a key was read after its time
	EarlyExpiry    Violation = "early-expiry"    // a key was gone before its time
	TornScan       Violation = "torn-scan"       // a scan, or a commit, was seen in part
	WrongCount     Violation = "wrong-count"     // a count, a counter, a usage or a list of groups is off
	WrongCondition Violation = "wrong-condition" // a conditional write was carried out, or refused, against its condition
	WrongRevision  Violation = "wrong-revision"  // a revision is not what it was, or does not follow the one before
	BrokenSum      Violation = "broken-sum"      // writes that keep a sum were seen not to
	QuotaExceeded  Violation = "quota-exceeded"  // more keys than the quota allows
	QuotaRefused   Violation = "quota-refused"   // a write was refused that had room
	EventOrder     Violation = "event-order"     // events came in another order than the commits
	EventMissing   Violation = "event-missing"   // received + dropped < committed
	EventExtra     Violation = "event-extra"     // received + dropped > committed, or an event of nothing
	Diverged       Violation = "diverged"        // what the events add up to is not what the store holds
	EventLate      Violation = "event-late"      // a write returned before its event was with the watcher
	CallFailed     Violation = "call-failed"     // a call returned an error that it had no reason for
	Stalled        Violation = "stalled"         // calls that never return
	Overgrown      Violation = "overgrown"       // memory, goroutines, descriptors or log over their limit
)

const keptFindings = 20

// Finding is one violation with what was seen.
type Finding struct {
	Violation Violation `json:"violation"`
	Detail    string    `json:"detail"`
}

func (f Finding) String() string { return string(f.Violation) + ": " + f.Detail }

// findings are what a run has found.
type findings struct {
	most   uint64 // when there are as many
	enough func() // is called
	mu     struct {
		sync.Mutex
		first  []Finding
		counts map[Violation]uint64
		total  uint64
	}
}

// add notes a violation. Of each kind the first few are kept, so that a flood
// of one hides no other.
func (f *findings) add(violation Violation, format string, arguments ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.counts == nil {
		f.mu.counts = map[Violation]uint64{}
	}
	f.mu.counts[violation]++
	f.mu.total++
	if len(f.mu.first) < keptFindings && f.mu.counts[violation] <= keptFindings/4 {
		f.mu.first = append(f.mu.first, Finding{violation, fmt.Sprintf(format, arguments...)})
	}
	if f.mu.total == f.most && f.enough != nil {
		f.enough()
	}
}
