package soak

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"forge.lthn.ai/core/go-store/bench"
	"forge.lthn.ai/core/go-store/bench/report"
)

// The verdicts.
const (
	Pass     = "pass"
	Fail     = "fail"     // something grew
	Unjudged = "unjudged" // it was interrupted too early
)

// Result is what a run came to. Its JSON is an interface: fields are added,
// never renamed.
type Result struct {
	Verdict     string            `json:"verdict"` // "pass", "fail" or "unjudged"
	Command     string            `json:"command,omitempty"`
	Started     time.Time         `json:"started"`
	Seconds     float64           `json:"seconds"` // of the load, until the last sample
	Interrupted bool              `json:"interrupted"`
	Seed        uint64            `json:"seed"`
	Callers     int               `json:"callers"`
	Rate        float64           `json:"rate"` // calls a second that were asked for; 0: as many as there could be
	Every       float64           `json:"every_seconds"`
	Warm        float64           `json:"warm_seconds"` // of the beginning, which is not judged
	Calls       map[string]uint64 `json:"calls"`        // by kind
	Machine     bench.Machine     `json:"machine"`
	Share       float64           `json:"share"` // what a figure may grow by, besides its slack: 0.02, or 0.25 with a warm-up of less than five minutes
	Growth      []Growth          `json:"growth"`
	Samples     []Sample          `json:"samples"`
}

// Passed reports whether nothing grew.
func (r Result) Passed() bool { return r.Verdict == Pass }

// WriteJSON writes the result as one object.
func (r Result) WriteJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

func (r Result) total() (calls uint64) {
	for _, n := range r.Calls {
		calls += n
	}
	return calls
}

func (r Result) load() string {
	interrupted := ""
	if r.Interrupted {
		interrupted = "interrupted: "
	}
	return fmt.Sprintf("%s%s calls by %d callers in %s, seed %d; %d samples, the first %s not judged",
		interrupted, report.Count(float64(r.total())), r.Callers, seconds(r.Seconds), r.Seed, len(r.Samples), seconds(r.Warm))
}

func (r Result) rule() string {
	return fmt.Sprintf("Medians of the first and of the last tenth of the samples after the warm-up; at most %g %% and a small slack may come on top.", 100*r.Share)
}

// Print prints the result for people.
func (r Result) Print(out io.Writer) error {
	fmt.Fprintf(out, "%s\n\n", r.load())
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(r.Growth) > 0 {
		fmt.Fprintln(table, "\tafter the warm-up\tat the end\tat most\tgrowth\t")
	}
	for _, g := range r.Growth {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%+.2f %%\t%s\n", g.Figure, g.show(g.Early), g.show(g.Late), g.show(g.Most), g.Percent(), grew(g.Grown))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var err error
	switch r.Verdict {
	case Pass:
		_, err = fmt.Fprintf(out, "\nPASS: nothing grew (seed %d)\n", r.Seed)
	case Fail:
		_, err = fmt.Fprintf(out, "\nFAIL: %s\n", r.Summary())
	default:
		_, err = fmt.Fprintf(out, "%s\n", r.Summary())
	}
	return err
}

func grew(grown bool) string {
	if grown {
		return "  GREW"
	}
	return "  flat"
}

// HTML writes the result as one page with charts that needs nothing besides.
func (r Result) HTML(out io.Writer) error {
	page := report.Timelines{
		Title: "go-store soak", Command: r.Command, Started: r.Started, Machine: r.Machine,
		Notes:   []string{r.load() + "."},
		Verdict: "PASS: nothing grew", Good: r.Passed(), Rule: r.rule(), Warm: r.Warm,
	}
	if !r.Passed() {
		page.Verdict = r.Verdict + ": " + r.Summary()
	}
	for i, f := range figures {
		line := report.Timeline{Name: f.name, About: f.about, Bytes: f.unit == "bytes"}
		for _, s := range r.Samples {
			line.Points = append(line.Points, report.Moment{At: s.At, Value: float64(f.of(s))})
		}
		if len(r.Growth) > i {
			g := r.Growth[i]
			line.Judged, line.Early, line.Late, line.Most = true, g.show(g.Early), g.show(g.Late), g.show(g.Most)
			line.Limit, line.Growth, line.Bad = g.Most, fmt.Sprintf("%+.2f %%", g.Percent()), g.Grown
		}
		page.Lines = append(page.Lines, line)
	}
	beside := []report.Timeline{
		{Name: "calls a second", About: "not judged"},
		{Name: "p99 of a call, in milliseconds", About: "not judged; scans and snapshots included"},
	}
	for _, s := range r.Samples {
		beside[0].Points = append(beside[0].Points, report.Moment{At: s.At, Value: s.Calls})
		beside[1].Points = append(beside[1].Points, report.Moment{At: s.At, Value: float64(s.P99) / 1e6})
	}
	page.Lines = append(page.Lines, beside...)
	return page.HTML(out)
}
