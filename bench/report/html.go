package report

import (
	"embed"
	"html/template"
	"io"
	"math"

	"forge.lthn.ai/core/go-store/bench"
)

//go:embed *.html
var files embed.FS

var page = template.Must(template.ParseFS(files, "page.html", "style.html"))

// HTML writes the result as one page with charts that needs nothing besides: no
// network, no script, no other file.
func HTML(out io.Writer, r *bench.Result) error {
	d := newDrawer(r)
	data := pageData{
		Result: r, Sections: d.sections(), Workloads: d.rows(),
		Harness: Harness(r), Setting: Setting(r), Failures: r.Failures(),
		Started: r.Started.Format("2 January 2006, 15:04 MST"), Elapsed: Time(r.Elapsed * 1e9),
	}
	for i, c := range r.Contenders {
		data.Contenders = append(data.Contenders, contender{legend{colour(i), c.Name}, c.Durability, c.Note})
	}
	return page.Execute(out, data)
}

// pageData is what page.html shows.
type pageData struct {
	Result                             *bench.Result
	Started, Elapsed, Harness, Setting string
	Failures                           []string
	Contenders                         []contender
	Sections                           []section
	Workloads                          []workloadRows
}

type contender struct {
	legend
	Durability, Note string
}

// workloadRows is the part of the table that one workload has.
type workloadRows struct {
	Name, About string
	Rows        []row
}

// row is a cell as the table shows it. Width is that of its ratio's bar, in
// percent of the room; bars are on a logarithmic scale, from the baseline in
// the middle.
type row struct {
	legend
	Callers                           string
	Message                           string // instead of figures
	Throughput, Spread, P50, P99, Max string
	Ratio, RatioSpread                string
	Beside                            string // what it was measured beside, and the quotient
	Left, Width                       float64
	Slower                            bool
}

func (d *drawer) rows() []workloadRows {
	about := make(map[string]string)
	for _, w := range bench.Workloads() {
		about[w.Name] = w.About
	}
	var all []workloadRows
	for _, cell := range d.result.Cells {
		if len(all) == 0 || all[len(all)-1].Name != cell.Workload {
			all = append(all, workloadRows{Name: cell.Workload, About: about[cell.Workload]})
		}
		last := &all[len(all)-1]
		last.Rows = append(last.Rows, d.row(cell))
	}
	return all
}

func (d *drawer) row(cell bench.Cell) row {
	shown := row{legend: legend{colour(d.colours[cell.Contender]), cell.Contender}, Callers: Count(float64(cell.Callers))}
	switch {
	case cell.Cannot != "":
		shown.Message = "can't: " + cell.Cannot
		return shown
	case cell.Failed != "":
		shown.Message = "failed: " + cell.Failed
		return shown
	}
	t := cell.Throughput
	shown.Throughput, shown.Spread = Count(t.Median), Count(t.Least)+" – "+Count(t.Most)
	if all, timed := cell.Latency["all"]; timed {
		shown.P50, shown.P99, shown.Max = Time(float64(all.P50)), Time(float64(all.P99)), Time(float64(all.Max))
	}
	if b := cell.Beside; b != nil {
		shown.Beside = Ratio(b.Ratio.Median) + " × " + b.What
	}
	if cell.Ratio != nil {
		shown.Ratio, shown.RatioSpread = Ratio(cell.Ratio.Median)+" ×", Ratio(cell.Ratio.Least)+" – "+Ratio(cell.Ratio.Most)
		// Three decades to either side fill the room.
		length := math.Min(math.Abs(math.Log10(cell.Ratio.Median))/3, 1) * 50
		shown.Slower = cell.Ratio.Median < 1
		shown.Left, shown.Width = 50, length
		if shown.Slower {
			shown.Left = 50 - length
		}
	}
	return shown
}
