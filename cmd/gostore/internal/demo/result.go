package demo

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
)

// Result is what a demo found.
type Result struct {
	Acknowledged uint64 `json:"acknowledged"` // writes whose call returned without an error
	Verified     uint64 `json:"verified"`     // of these, as expected after reopening
	Lost         uint64 `json:"lost"`         // the others
	Expired      uint64 `json:"expired"`      // sessions that a watcher saw expire
	Refused      uint64 `json:"refused"`      // writes that the quota refused
	Events       uint64 `json:"events"`       // received by the watcher of everything
	Dropped      uint64 `json:"dropped"`      // events it missed, as it was told; with Events: every change
	Sets         uint64 `json:"sets_per_second"`
	Gets         uint64 `json:"gets_per_second"`

	// Broken says which promises were broken, the first few of BrokenCount.
	Broken      []string `json:"-"`
	BrokenCount int      `json:"-"`

	writes, gets       uint64
	loading, verifying time.Duration
	fileBytes          int64
}

// finish adds up what the loads have counted.
func (l *load) finish() Result {
	r := &l.result
	r.writes, r.gets = l.writes.Load(), l.gets.Load()
	r.Expired, r.Refused = l.audience.expired.Load(), l.refused.Load()
	r.Events, r.Dropped = l.audience.received, l.audience.dropped
	if seconds := r.loading.Seconds(); seconds > 0 {
		r.Sets, r.Gets = uint64(float64(r.writes)/seconds), uint64(float64(r.gets)/seconds)
	}
	l.findings.mu.Lock()
	defer l.findings.mu.Unlock()
	r.Broken, r.BrokenCount = l.findings.mu.first, l.findings.mu.count
	return *r
}

// Print prints the result as a table.
func (r Result) Print(out io.Writer) error {
	fmt.Fprintf(out, "%d writers, %d readers, a watcher of everything, sessions that expire and a\n"+
		"tenant at its quota shared one store for %s.\n\n", writers, readers, seconds(r.loading))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(what string, n uint64, remark string, arguments ...any) {
		// The cell of the number is aligned right; the others fill their columns.
		fmt.Fprintf(table, "%-20s\t%s\t  %s\n", what, thousands(n), fmt.Sprintf(remark, arguments...))
	}
	row("writes acknowledged", r.Acknowledged, "%s a second under load, each on disk before its call returned", thousands(r.Sets))
	row("reads checked", r.gets, "%s a second", thousands(r.Gets))
	row("sessions expired", r.Expired, "each when its time was over, with one event")
	row("writes refused", r.Refused, "by the tenant's quota of %d keys", tenantKeys)
	row("events received", r.Events, "by the watcher of everything")
	if r.Dropped == 0 {
		row("events dropped", r.Dropped, "it never fell behind: it saw every change")
	} else {
		row("events dropped", r.Dropped, "it fell behind, and was told: both together are every change")
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nClosed, reopened and compared with what the writers know, in %s (%s MB on disk):\n\n",
		seconds(r.verifying), strconv.FormatFloat(float64(r.fileBytes)/1e6, 'f', 1, 64))
	row("writes verified", r.Verified, "each is there, or was replaced by one that is")
	row("writes lost", r.Lost, "none may be")
	if err := table.Flush(); err != nil {
		return err
	}
	for _, broken := range r.Broken {
		fmt.Fprintf(out, "\nBROKEN: %s", broken)
	}
	if r.BrokenCount > 0 {
		_, err := fmt.Fprintln(out)
		return err
	}
	return nil
}

func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
}

// thousands writes a number with a comma in front of every three digits.
func thousands(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
