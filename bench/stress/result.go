package stress

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Result is what a run came to. Its JSON is an interface: fields are added,
// never renamed.
type Result struct {
	Verdict string  `json:"verdict"` // "pass" or "fail"
	Command string  `json:"command"` // runs the same workload again
	Seed    uint64  `json:"seed"`
	Callers int     `json:"callers"`
	Seconds float64 `json:"seconds"` // of the load, without verifying
	Steps   uint64  `json:"steps"`   // what the callers did; one can take several calls

	Calls        map[string]uint64 `json:"calls"`        // by name
	Acknowledged uint64            `json:"acknowledged"` // writes whose call returned without an error
	Refused      uint64            `json:"refused"`      // writes that the quota refused
	Conflicts    uint64            `json:"conflicts"`    // conditional writes that another caller got ahead of
	Unknown      uint64            `json:"unknown"`      // writes whose call could not say what became of them
	Expired      uint64            `json:"expired"`      // sessions that were looked for after their time
	Changes      uint64            `json:"changes"`      // that took place: an event each, of expiries too
	Expiries     uint64            `json:"expiries"`     // of these
	Watchers     []Seen            `json:"watchers"`     // subscribers too
	Reopened     bool              `json:"reopened"`     // all was verified again after closing and opening the store

	Killed *Killed `json:"killed,omitempty"` // with a store in a process that is killed

	Before  Footprint `json:"before"` // of the process, before the run: the limits are for what comes on top
	Most    Footprint `json:"most"`   // the largest of each in any sample
	MostLog int64     `json:"most_log_bytes"`
	Samples int       `json:"samples"`
	Limits  Limits    `json:"limits"`

	Violations map[Violation]uint64 `json:"violations"` // how many of each were found
	Findings   []Finding            `json:"findings"`   // the first few

	loading time.Duration
}

// Seen is the account of one watcher or subscriber: Received and Dropped
// together are Committed, but for those that were told of Gaps.
type Seen struct {
	Name      string `json:"name"`
	Received  uint64 `json:"received"`
	Dropped   uint64 `json:"dropped,omitempty"`
	Committed uint64 `json:"committed"`
	Doubtful  uint64 `json:"doubtful,omitempty"` // committed besides, or not: unknown
	Gaps      uint64 `json:"gaps,omitempty"`     // revisions that a subscriber was told it had missed
	Resumed   uint64 `json:"resumed,omitempty"`  // how often a subscriber went on from its last revision
}

// Passed reports whether nothing was found.
func (r Result) Passed() bool { return len(r.Violations) == 0 }

// conclude adds up what a run has counted.
func (r *run) conclude(result Result, m *monitor) Result {
	r.findings.mu.Lock()
	defer r.findings.mu.Unlock()
	result.Findings = slices.Clone(r.findings.mu.first)
	result.Violations = map[Violation]uint64{}
	for violation, n := range r.findings.mu.counts {
		result.Violations[violation] = n
	}
	result.Verdict = "pass"
	if !result.Passed() {
		result.Verdict = "fail"
	}
	result.Seed, result.Callers, result.Seconds = r.config.Seed, r.config.Callers, result.loading.Seconds()
	result.Steps, result.Calls = r.steps.Load(), map[string]uint64{}
	for kind := range r.calls {
		if n := r.calls[kind].Load(); n > 0 {
			result.Calls[Kind(kind).String()] = n
		}
	}
	result.Acknowledged, result.Refused = r.writes.Load(), r.refused.Load()
	result.Conflicts = r.conflicts.Load()
	result.Changes, result.Expiries = r.ledger.changes.Load(), r.ledger.expiries.Load()
	result.Unknown, result.Expired = r.doubts.Load(), r.sessionsOver.Load()
	m.mu.Lock()
	defer m.mu.Unlock()
	result.Before, result.Limits = m.before, m.limits
	result.Most, result.MostLog, result.Samples = m.mu.most, m.mu.mostLog, m.mu.samples
	return result
}

// Print prints the result for people.
func (r Result) Print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(what string, n uint64, remark string, arguments ...any) {
		fmt.Fprintf(table, "%-20s\t%s\t  %s\n", what, thousands(n), fmt.Sprintf(remark, arguments...))
	}
	calls := uint64(0)
	for _, n := range r.Calls {
		calls += n
	}
	row("calls", calls, "by %d callers in %.1f s; what each returned was judged", r.Callers, r.Seconds)
	row("writes acknowledged", r.Acknowledged, "each read back")
	row("writes refused", r.Refused, "by the quota of %d keys", quotaKeys)
	row("conflicts", r.Conflicts, "conditional writes that another caller got ahead of")
	row("outcomes unknown", r.Unknown, "writes whose call could not say; read to find out")
	row("sessions over", r.Expired, "looked for after their time")
	if r.Killed != nil {
		row("kills", r.Killed.Kills, "of the store's process, %d of them while it opened; the slowest opening took %v",
			r.Killed.Opening, r.Killed.SlowestOpen.Round(time.Millisecond))
	}
	for _, seen := range r.Watchers {
		remark := "by the " + seen.Name + ", " + thousands(seen.Dropped) + " dropped"
		if seen.Gaps > 0 {
			remark += ", told of " + thousands(seen.Gaps) + " missed revisions"
		}
		if seen.Resumed > 0 {
			remark += ", resumed " + thousands(seen.Resumed) + " times"
		}
		remark += ", " + thousands(seen.Committed) + " committed"
		if seen.Doubtful > 0 {
			remark += " and up to " + thousands(seen.Doubtful) + " more"
		}
		row("events received", seen.Received, "%s", remark)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nat most, in %d samples: %s of heap, %s resident, %d goroutines, %d descriptors, %s of log\n", r.Samples,
		mebibytes(r.Most.Heap), mebibytes(r.Most.Resident), r.Most.Goroutines, r.Most.Descriptors, mebibytes(r.MostLog))
	if r.Reopened {
		fmt.Fprintln(out, "ended, opened again, and everything read once more")
	}
	for _, finding := range r.Findings {
		fmt.Fprintf(out, "\n%v", finding)
	}
	if r.Passed() {
		_, err := fmt.Fprintf(out, "\nPASS: no promise was broken (seed %d)\n", r.Seed)
		return err
	}
	_, err := fmt.Fprintf(out, "\n\nFAIL: %s\nthe same workload again: %s\n", r.Summary(), r.Command)
	return err
}

// Summary names the violations with their counts.
func (r Result) Summary() string {
	var parts []string
	for violation, n := range r.Violations {
		parts = append(parts, string(violation)+" "+thousands(n)+"×")
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// thousands writes a number with a comma in front of every three digits.
func thousands(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
