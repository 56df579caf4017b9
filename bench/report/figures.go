package report

import (
	"fmt"
	"html/template"
	"slices"
	"strings"

	"forge.lthn.ai/core/go-store/bench"
)

// figure is a chart with its caption.
type figure struct {
	Title, Caption string
	Chart          template.HTML
	Legend         []legend // empty: that of the page
}

// legend is a colour and what it stands for.
type legend struct {
	Colour template.CSS
	Name   string
}

// section is a row of figures under a heading.
type section struct {
	Title, About string
	Figures      []figure
}

// drawer draws the figures of one result.
type drawer struct {
	result  *bench.Result
	colours map[string]int
}

func newDrawer(r *bench.Result) *drawer {
	d := &drawer{result: r, colours: make(map[string]int)}
	for i, c := range r.Contenders {
		d.colours[c.Name] = i
	}
	return d
}

// sections are all figures that the result has data for.
func (d *drawer) sections() []section {
	all := []section{
		{"Throughput by callers", "Operations a second; the bars go from the slowest round to the fastest.", d.throughputs()},
		{"Latency percentiles", "How long a call took, by the share of calls that took no longer. Towards the right stand the rare slow ones.", d.latencies()},
		{"Batch sizes", "How many writes shared a commit: the share of writes that were committed with no more others than that. More callers make larger batches, and so fewer syncs.", d.batches()},
		{"Expiry lag", "The time from a key's deadline to the moment when the harness was told that it was removed (no read returns it meanwhile), and the latency of writes beside it.", d.expiries()},
		{"Delivery", "The time from the begin of a write to the receipt of its event, over all receivers.", d.deliveries()},
	}
	return slices.DeleteFunc(all, func(s section) bool { return len(s.Figures) == 0 })
}

// group is the cells of one workload, at one number of callers or at several.
type group struct {
	workload string
	cells    []bench.Cell
}

// groups are the cells that have figures, by workload.
func (d *drawer) groups(wanted func(bench.Cell) bool) []group {
	var groups []group
	for _, cell := range d.result.Cells {
		if len(cell.Rounds) == 0 || !wanted(cell) {
			continue
		}
		if len(groups) == 0 || groups[len(groups)-1].workload != cell.Workload {
			groups = append(groups, group{workload: cell.Workload})
		}
		last := &groups[len(groups)-1]
		last.cells = append(last.cells, cell)
	}
	return groups
}

// callers are the numbers of callers in a group.
func (g group) callers() []int {
	var numbers []int
	for _, cell := range g.cells {
		if !slices.Contains(numbers, cell.Callers) {
			numbers = append(numbers, cell.Callers)
		}
	}
	return numbers
}

func add(figures []figure, title, caption string, x, y axis, lines []series, names ...legend) []figure {
	spoken := strings.TrimSuffix(title+", "+caption, ", ")
	return append(figures, figure{title, caption, chart(spoken, x, y, lines), names})
}

func (d *drawer) throughputs() (figures []figure) {
	for _, g := range d.groups(func(bench.Cell) bool { return true }) {
		numbers := g.callers()
		if len(numbers) < 2 {
			continue
		}
		lines := make(map[string]*series)
		var order []*series
		for _, cell := range g.cells {
			line := lines[cell.Contender]
			if line == nil {
				line = &series{name: cell.Contender, colour: colour(d.colours[cell.Contender])}
				lines[cell.Contender] = line
				order = append(order, line)
			}
			t := cell.Throughput
			line.points = append(line.points, point{float64(cell.Callers), t.Median, t.Least, t.Most})
		}
		var ticks []float64
		for _, n := range numbers {
			ticks = append(ticks, float64(n))
		}
		var drawn []series
		for _, line := range order {
			drawn = append(drawn, *line)
		}
		figures = add(figures, g.workload, "", axis{label: "callers", log: true, ticks: givenTicks(ticks, magnitude), value: callers},
			axis{label: "operations a second", log: true, ticks: logTicks(magnitude), value: Count}, drawn)
	}
	return figures
}

// callers are so many callers, in words.
func callers(n float64) string { return plural(int(n), "caller") }

// curve is a distribution of times as a line.
func curve(name string, l bench.Latency, c int, dashed bool) series {
	line := series{name: name, colour: colour(c), dashed: dashed}
	for i, nanoseconds := range l.Curve {
		y := float64(max(nanoseconds, 1))
		line.points = append(line.points, point{nines(bench.Quantiles[i]), y, y, y})
	}
	return line
}

func (d *drawer) latencies() (figures []figure) {
	for _, g := range d.groups(func(c bench.Cell) bool { return c.Latency["all"].Count > 0 }) {
		numbers := g.callers()
		callers := numbers[len(numbers)-1]
		for _, n := range numbers {
			if n <= 64 {
				callers = n
			}
		}
		var lines []series
		for _, cell := range g.cells {
			if cell.Callers == callers {
				lines = append(lines, curve(cell.Contender, cell.Latency["all"], d.colours[cell.Contender], false))
			}
		}
		figures = add(figures, g.workload, plural(callers, "caller"), quantileAxis(), timeAxis("latency"), lines)
	}
	return figures
}

// batches has a figure for each contender, since what is compared there is the
// number of callers.
func (d *drawer) batches() (figures []figure) {
	for _, c := range d.result.Contenders {
		var lines []series
		var names []legend
		for _, cell := range d.result.Cells {
			if cell.Contender != c.Name || len(cell.Batches) == 0 {
				continue
			}
			col := colour(len(lines))
			names = append(names, legend{col, fmt.Sprintf("%s: %.1f on average", plural(cell.Callers, "caller"), MeanBatch(cell.Batches))})
			lines = append(lines, batchCurve(plural(cell.Callers, "caller"), cell.Batches, col))
		}
		if lines != nil {
			figures = add(figures, c.Name, "", axis{label: "writes in a commit", log: true, ticks: logTicks(magnitude), value: writes},
				axis{label: "share of writes", ticks: givenTicks([]float64{0, 0.25, 0.5, 0.75, 1}, share), value: share},
				lines, names...)
		}
	}
	return figures
}

func batchCurve(name string, buckets []bench.Bucket, c template.CSS) series {
	line := series{name: name, colour: c}
	var total, sum int64
	for _, bucket := range buckets {
		total += int64(bucket.Size) * bucket.Count
	}
	for _, bucket := range buckets {
		before := float64(sum) / float64(total)
		sum += int64(bucket.Size) * bucket.Count
		y := float64(sum) / float64(total)
		line.points = append(line.points, point{float64(bucket.Size), before, before, before}, point{float64(bucket.Size), y, y, y})
	}
	return line
}

// writes are so many writes, in words.
func writes(n float64) string { return plural(int(n), "write") }

func (d *drawer) expiries() (figures []figure) {
	for _, g := range d.groups(func(c bench.Cell) bool { return c.Expiry != nil }) {
		var lines []series
		var names []legend
		for _, cell := range g.cells {
			c := d.colours[cell.Contender]
			lines = append(lines, curve(cell.Contender+", expiry lag", cell.Expiry.Latency, c, false),
				curve(cell.Contender+", writes meanwhile", cell.Latency["all"], c, true))
			names = append(names,
				legend{colour(c), fmt.Sprintf("%s, line: expiry lag of %s, p99 %s", cell.Contender, plural(int(cell.Expiry.Received), "key"), Time(float64(cell.Expiry.Latency.P99)))},
				legend{colour(c), fmt.Sprintf("%s, dashes: writes meanwhile, p99 %s", cell.Contender, Time(float64(cell.Latency["all"].P99)))})
		}
		if lines != nil {
			figures = add(figures, g.workload, plural(g.cells[0].Callers, "caller"), quantileAxis(), timeAxis("lag, latency"), lines, names...)
		}
	}
	return figures
}

func (d *drawer) deliveries() (figures []figure) {
	for _, g := range d.groups(func(c bench.Cell) bool { return c.Delivery != nil && c.Delivery.Received > 0 }) {
		var lines []series
		var names []legend
		for _, cell := range g.cells {
			c := d.colours[cell.Contender]
			lines = append(lines, curve(cell.Contender, cell.Delivery.Latency, c, false))
			dropped := 100 * float64(cell.Delivery.Dropped) / float64(max(cell.Delivery.Expected, 1))
			names = append(names, legend{colour(c), fmt.Sprintf("%s: %.3g %% dropped%s", cell.Contender, dropped, silently(cell.Delivery))})
		}
		figures = add(figures, g.workload, plural(g.cells[0].Delivery.Receivers, "receiver"), quantileAxis(), timeAxis("write to receipt"), lines, names...)
	}
	return figures
}
