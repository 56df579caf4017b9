package report

import (
	"html/template"
	"io"
	"strconv"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/bench"
)

// Timelines is a page of figures over time, each judged or not.
type Timelines struct {
	Title, Command string
	Started        time.Time
	Machine        bench.Machine
	Notes          []string
	Verdict        string
	Good           bool    // of the verdict
	Rule           string  // how it is come by
	Warm           float64 // seconds at the beginning that are not judged, drawn in grey
	Lines          []Timeline
}

// Timeline is one figure.
type Timeline struct {
	Name, About string
	Bytes       bool // drawn in mebibytes; otherwise as it is
	Points      []Moment
	Judged      bool // the rest counts only then

	Early, Late, Most, Growth string
	Limit                     float64 // drawn as dashes
	Bad                       bool
}

// Moment is a figure at a number of seconds after the begin.
type Moment struct{ At, Value float64 }

type timelineFigure struct {
	Timeline
	Chart template.HTML
}

var timelines = template.Must(template.ParseFS(files, "timelines.html", "style.html"))

// HTML writes the page, which needs nothing besides: no network, no script, no
// other file.
func (t Timelines) HTML(out io.Writer) error {
	data := struct {
		Timelines
		When, Where string
		Figures     []timelineFigure
	}{Timelines: t, When: t.Started.Format("2 January 2006, 15:04 MST"), Where: Machine(t.Machine)}
	for _, line := range t.Lines {
		data.Figures = append(data.Figures, timelineFigure{line, line.chart(t.Warm)})
	}
	return timelines.Execute(out, data)
}

// grey is what is not judged.
var grey = palette[7]

func (l Timeline) chart(warm float64) template.HTML {
	if len(l.Points) == 0 {
		return ""
	}
	unit, label := 1.0, "seconds"
	if l.Points[len(l.Points)-1].At > 180 {
		unit, label = 60, "minutes"
	}
	scale, y := 1.0, ""
	if l.Bytes {
		scale, y = 1<<20, "MiB"
	}
	at := func(m Moment) point { v := m.Value / scale; return point{m.At / unit, v, v, v} }
	cold, line := series{name: "warm-up", colour: grey, dotless: true}, series{name: "then", colour: colour(0), dotless: true}
	for _, m := range l.Points {
		if m.At < warm {
			cold.points = append(cold.points, at(m))
		} else {
			line.points = append(line.points, at(m))
		}
	}
	if len(cold.points) > 0 && len(line.points) > 0 { // no gap between the two
		cold.points = append(cold.points, line.points[0])
	}
	var drawn []series
	for _, s := range []series{cold, line} {
		if len(s.points) > 0 {
			drawn = append(drawn, s)
		}
	}
	if l.Judged {
		end := l.Points[len(l.Points)-1].At
		drawn = append(drawn, series{name: "at most", colour: colour(1), dashed: true, dotless: true,
			points: []point{at(Moment{warm, l.Limit}), at(Moment{end, l.Limit})}})
	}
	moment := func(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) + " " + label }
	plain := func(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
	amount := func(v float64) string { return strings.TrimSpace(thousandsOf(v) + " " + y) }
	return chart(l.Name+", over time", axis{label: label, zero: true, ticks: linearTicks(plain), value: moment},
		axis{label: y, zero: true, ticks: linearTicks(thousandsOf), value: amount}, drawn)
}

// thousandsOf is a number for an axis of any size.
func thousandsOf(v float64) string {
	if v >= 10_000 {
		return magnitude(v)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
