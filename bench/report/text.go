// Package report shows a bench.Result: as a table for a terminal or a page of
// Markdown, and as one HTML file with charts that needs nothing besides.
//
// It measures nothing and judges nothing.
package report

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"forge.lthn.ai/core/go-store/bench"
)

// Text writes the result as tables for a terminal.
func Text(out io.Writer, r *bench.Result) error {
	_, err := io.WriteString(out, figures(r, across).Render()+"\n\n"+notes(r))
	return err
}

// Markdown writes the table of figures and the notes as Markdown.
func Markdown(out io.Writer, r *bench.Result) error {
	text := figures(r, once).RenderMarkdown() + "\n\n"
	for line := range strings.Lines(notes(r)) {
		text += "- " + line
	}
	_, err := io.WriteString(out, text)
	return err
}

// figures has a row for each cell. wide puts a text where figures would stand.
func figures(r *bench.Result, wide func(text string) table.Row) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.Style().Options.SeparateColumns = false
	t.Style().Options.DrawBorder = false
	t.AppendHeader(table.Row{"workload", "callers", "store", "a second", "least to most", "p50", "p99", "ratio", "least to most"})
	var right []table.ColumnConfig
	for _, n := range []int{2, 4, 5, 6, 7, 8, 9} {
		right = append(right, table.ColumnConfig{Number: n, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(right)
	var workload string
	var callers int
	for _, cell := range r.Cells {
		name, count := cell.Workload, fmt.Sprint(cell.Callers)
		if name == workload && cell.Callers == callers {
			name, count = "", ""
		} else if workload != "" {
			t.AppendSeparator()
		}
		workload, callers = cell.Workload, cell.Callers
		row := append(table.Row{name, count, cell.Contender}, cellFigures(cell, wide)...)
		t.AppendRow(row, table.RowConfig{AutoMerge: cell.Cannot+cell.Failed != "", AutoMergeAlign: text.AlignLeft})
	}
	return t
}

// cellFigures are a cell's columns from the fourth on.
func cellFigures(cell bench.Cell, wide func(text string) table.Row) table.Row {
	switch {
	case cell.Cannot != "":
		return wide("can't: " + cell.Cannot)
	case cell.Failed != "":
		return wide("FAILED: see below")
	}
	row := table.Row{Count(cell.Throughput.Median), Count(cell.Throughput.Least) + " to " + Count(cell.Throughput.Most), "", "", "", ""}
	if all, timed := cell.Latency["all"]; timed {
		row[2], row[3] = Time(float64(all.P50)), Time(float64(all.P99))
	}
	if cell.Ratio != nil {
		row[4] = fmt.Sprintf("%s ×", Ratio(cell.Ratio.Median))
		if cell.Ratio.Least != cell.Ratio.Most {
			row[5] = Ratio(cell.Ratio.Least) + " to " + Ratio(cell.Ratio.Most)
		}
	}
	return row
}

// across is one cell over all columns of figures: those that say the same are
// merged.
func across(text string) table.Row { return table.Row{text, text, text, text, text, text} }

// once is for Markdown, which merges nothing.
func once(text string) table.Row { return table.Row{text, "", "", "", "", ""} }

// notes are what a reader of the table has to know, a line each.
func notes(r *bench.Result) string {
	var b strings.Builder
	if r.Interrupted {
		fmt.Fprintln(&b, "INTERRUPTED: this is what was measured by then.")
	}
	for _, failure := range r.Failures() {
		fmt.Fprintf(&b, "FAILED: %s\n", failure)
	}
	for _, cell := range r.Cells {
		name := fmt.Sprintf("%s, %s, %s", cell.Workload, cell.Contender, plural(cell.Callers, "caller"))
		if d := cell.Delivery; d != nil {
			fmt.Fprintf(&b, "%s: %s of %s events received, %s dropped%s; from the call to the receipt p50 %s, p99 %s\n",
				name, Count(float64(d.Received)), Count(float64(d.Expected)), Count(float64(d.Dropped)), silently(d),
				Time(float64(d.Latency.P50)), Time(float64(d.Latency.P99)))
		}
		if d := cell.Expiry; d != nil {
			fmt.Fprintf(&b, "%s: %s of %s keys expired; lag p50 %s, p99 %s, most %s; writes meanwhile p99 %s\n",
				name, Count(float64(d.Received)), Count(float64(d.Expected)), Time(float64(d.Latency.P50)),
				Time(float64(d.Latency.P99)), Time(float64(d.Latency.Max)), Time(float64(cell.Latency["all"].P99)))
		}
		if beside := cell.Beside; beside != nil {
			fmt.Fprintf(&b, "%s: %s × what was measured beside it, %s; %s to %s\n",
				name, Ratio(beside.Ratio.Median), beside.What, Ratio(beside.Ratio.Least), Ratio(beside.Ratio.Most))
		}
		if len(cell.Batches) > 0 {
			fmt.Fprintf(&b, "%s: %.1f writes a commit\n", name, MeanBatch(cell.Batches))
		}
		if amplification := written(cell); amplification > 0 {
			fmt.Fprintf(&b, "%s: %s bytes written to disk for each byte set\n", name, Ratio(amplification))
		}
		if cell.Conflicts > 0 {
			fmt.Fprintf(&b, "%s: %s conflicts\n", name, Count(float64(cell.Conflicts)))
		}
		if cell.Unserved > 0 {
			fmt.Fprintf(&b, "%s: %s calls were due and not begun when their round ended\n", name, Count(float64(cell.Unserved)))
		}
	}
	for _, c := range r.Contenders {
		fmt.Fprintf(&b, "%s survives: %s", c.Name, c.Durability)
		if c.Note != "" {
			fmt.Fprintf(&b, ". %s", c.Note)
		}
		fmt.Fprintln(&b)
	}
	fmt.Fprintln(&b, "A ratio is a store's throughput ÷ that of the first store that can do the workload: the median over pairs of neighbouring rounds, the least and the greatest.")
	fmt.Fprintln(&b, Harness(r))
	fmt.Fprintln(&b, Setting(r))
	return b.String()
}

func silently(d *bench.Delivery) string {
	if d.Silent {
		return " (and nobody told)"
	}
	return ""
}

// harnessLimit is what the harness may cost an operation, in nanoseconds.
const harnessLimit = 100

// Harness says what the harness itself costs.
func Harness(r *bench.Result) string {
	h := r.Harness
	text := fmt.Sprintf("The harness itself, at %d callers against a target that does nothing: %.0f ns a set, %.0f ns a get (elapsed; %.0f and %.0f ns of processor time).",
		h.Callers, h.SetNs, h.GetNs, h.SetCPU, h.GetCPU)
	if max(h.SetNs, h.GetNs) > harnessLimit {
		text += fmt.Sprintf(" That is more than the %d ns it should be: other work has the processors, and all figures are the worse for it.", harnessLimit)
	}
	return text
}

// Setting says how and where it was measured.
func Setting(r *bench.Result) string {
	p := r.Plan
	loop := "closed loop"
	if p.Rate > 0 {
		loop = fmt.Sprintf("%s calls a second, latency from the moment each was due", Count(p.Rate))
	}
	order := ""
	if p.Sorted {
		order = ", loaded in the order of their names"
	}
	return fmt.Sprintf("%s keys%s, values of %s bytes, %s; %s; %d rounds of %s after %s of warm-up, seed %d; %s.",
		Count(float64(p.Keys)), order, p.ValueSize, p.Distribution, loop, p.Rounds, Time(p.Round*1e9), Time(p.WarmUp*1e9), p.Seed,
		Machine(r.Machine))
}

// Machine says where it was measured.
func Machine(m bench.Machine) string {
	return fmt.Sprintf("%s, %d cores, %s, 4 KiB synced in %s in %s", processor(m), m.Cores, m.Go, Time(m.SyncNs), m.Folder)
}

func processor(m bench.Machine) string {
	if m.Processor == "" {
		return m.OS + "/" + m.Arch
	}
	return m.Processor
}

// MeanBatch is the mean number of writes in a commit.
func MeanBatch(buckets []bench.Bucket) float64 {
	var writes, commits int64
	for _, b := range buckets {
		writes += int64(b.Size) * b.Count
		commits += b.Count
	}
	return float64(writes) / float64(max(commits, 1))
}

// written is how many bytes went to the disk for each byte of the keys and values that were
// set, over all rounds; 0 if that is not known.
func written(cell bench.Cell) float64 {
	var written, given int64
	for _, round := range cell.Rounds {
		written += round.Written
		given += round.Given
	}
	if given == 0 {
		return 0
	}
	return float64(written) / float64(given)
}

// Count writes a number with thousands apart: 1,234,567.
func Count(n float64) string {
	if n != 0 && math.Abs(n) < 10 && n != math.Trunc(n) {
		return fmt.Sprintf("%.2f", n)
	}
	digits := fmt.Sprintf("%.0f", n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Ratio writes a quotient with about three digits.
func Ratio(r float64) string {
	switch {
	case r >= 100:
		return Count(r)
	case r >= 10:
		return fmt.Sprintf("%.1f", r)
	case r >= 0.01 || r == 0:
		return fmt.Sprintf("%.2f", r)
	}
	return fmt.Sprintf("%.2g", r)
}

// Time writes nanoseconds in the unit that fits, with about three digits.
func Time(nanoseconds float64) string {
	for _, unit := range []struct {
		name string
		size float64
	}{{"s", 1e9}, {"ms", 1e6}, {"µs", 1e3}} {
		if nanoseconds >= unit.size {
			return short(nanoseconds/unit.size) + " " + unit.name
		}
	}
	return fmt.Sprintf("%.0f ns", nanoseconds)
}

func short(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%s %ss", Count(float64(n)), noun)
}
