package report

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"regexp"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Ink and grid are replaced by the page's own colours, so that charts follow
// its light and its dark side.
var (
	ink  = color.RGBA{1, 2, 3, 255}
	grid = color.RGBA{4, 5, 6, 255}
)

// palette is that of Okabe and Ito, which colour-blind readers can tell apart,
// without its black and with the yellow darkened for a white page.
var palette = []color.RGBA{
	{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255},
	{230, 159, 0, 255}, {86, 180, 233, 255}, {145, 120, 30, 255}, {120, 120, 120, 255},
}

func colour(i int) color.RGBA { return palette[i%len(palette)] }

// cssColour is a colour as style sheets write it.
func cssColour(c color.RGBA) template.CSS {
	return template.CSS(fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B))
}

// point is one value with what it spread over.
type point struct{ x, y, least, most float64 }

// series is one line of a chart.
type series struct {
	colour  color.RGBA
	dashed  bool
	dotless bool // a line of many points
	points  []point
}

// axis says what an axis shows.
type axis struct {
	label string
	log   bool
	zero  bool // begins at zero
	ticks func(least, most float64) []plot.Tick
}

// The size of a chart, in points.
const (
	chartWidth  vg.Length = 330
	chartHeight vg.Length = 195
)

// chart draws lines as an SVG element for a page of HTML.
func chart(x, y axis, lines []series) (template.HTML, error) {
	p := plot.New()
	p.BackgroundColor = color.Transparent
	style(&p.X, x)
	style(&p.Y, y)
	p.Y.Tick.Label.XAlign = draw.XRight
	mesh := plotter.NewGrid()
	mesh.Vertical.Color, mesh.Horizontal.Color = grid, grid
	mesh.Vertical.Width, mesh.Horizontal.Width = vg.Points(0.5), vg.Points(0.5)
	p.Add(mesh)
	for _, line := range lines {
		if err := addLine(p, line); err != nil {
			return "", err
		}
	}
	bound(&p.X, x, lines, func(pt point) (float64, float64) { return pt.x, pt.x })
	bound(&p.Y, y, lines, func(pt point) (float64, float64) { return pt.least, pt.most })

	canvas := vgsvg.New(chartWidth, chartHeight)
	p.Draw(draw.New(canvas))
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return "", err
	}
	return inline(out.String()), nil
}

func style(a *plot.Axis, spec axis) {
	a.Label.Text = spec.label
	a.Label.TextStyle.Color, a.Tick.Label.Color = ink, ink
	a.Label.TextStyle.Font.Size, a.Tick.Label.Font.Size = font.Points(8), font.Points(8)
	a.Label.TextStyle.Font.Variant, a.Tick.Label.Font.Variant = "Sans", "Sans"
	a.Label.Padding = vg.Points(3)
	a.LineStyle.Color, a.Tick.LineStyle.Color = grid, grid
	a.Tick.Length = vg.Points(3)
	a.Padding = vg.Points(2)
	if spec.log {
		a.Scale = plot.LogScale{}
	}
	a.Tick.Marker = plot.TickerFunc(spec.ticks)
}

func addLine(p *plot.Plot, line series) error {
	xys := make(plotter.XYs, len(line.points))
	errors := make(plotter.YErrors, len(line.points))
	spreads := false
	for i, pt := range line.points {
		xys[i] = plotter.XY{X: pt.x, Y: pt.y}
		errors[i].Low, errors[i].High = pt.y-pt.least, pt.most-pt.y
		spreads = spreads || pt.least != pt.most
	}
	drawn, dots, err := plotter.NewLinePoints(xys)
	if err != nil {
		return err
	}
	drawn.Color, drawn.Width = line.colour, vg.Points(1.6)
	if line.dashed {
		drawn.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
	}
	dots.Color, dots.Shape, dots.Radius = line.colour, draw.CircleGlyph{}, vg.Points(2)
	p.Add(drawn)
	if !line.dotless {
		p.Add(dots)
	}
	if !spreads {
		return nil
	}
	bars, err := plotter.NewYErrorBars(struct {
		plotter.XYs
		plotter.YErrors
	}{xys, errors})
	if err != nil {
		return err
	}
	bars.Color, bars.Width, bars.CapWidth = line.colour, vg.Points(0.8), vg.Points(4)
	p.Add(bars)
	return nil
}

// bound makes an axis a little longer than what it shows.
func bound(a *plot.Axis, spec axis, lines []series, ends func(point) (least, most float64)) {
	a.Min, a.Max = math.Inf(1), math.Inf(-1)
	for _, line := range lines {
		for _, pt := range line.points {
			least, most := ends(pt)
			a.Min, a.Max = min(a.Min, least), max(a.Max, most)
		}
	}
	if spec.log {
		a.Min, a.Max = a.Min/1.3, a.Max*1.3
		return
	}
	if spec.zero {
		a.Min = 0
	}
	slack := max((a.Max-a.Min)*0.08, 1e-3)
	a.Max += slack
	if !spec.zero {
		a.Min -= slack
	}
}

var (
	prelude  = regexp.MustCompile(`(?s)^.*?<svg[^>]*>`)
	fontName = regexp.MustCompile(`font-family:[^;"]*;`)
)

// inline makes an element of a page out of an SVG document: as wide as there is
// room, in the page's colours and fonts, and without the addresses that stand
// in a document's head.
func inline(document string) template.HTML {
	body := prelude.ReplaceAllString(document, "")
	body = fontName.ReplaceAllString(body, "")
	for _, replace := range []struct {
		of color.RGBA
		by string
	}{{ink, "currentColor"}, {grid, "var(--grid)"}} {
		body = strings.ReplaceAll(body, strings.ToUpper(string(cssColour(replace.of))), replace.by)
		body = strings.ReplaceAll(body, string(cssColour(replace.of)), replace.by)
	}
	head := fmt.Sprintf(`<svg viewBox="0 0 %.0f %.0f" role="img">`, chartWidth.Points(), chartHeight.Points())
	return template.HTML(head + body)
}

// logTicks labels the powers of ten, and 2 and 5 times them where there is room.
func logTicks(label func(float64) string) func(least, most float64) []plot.Tick {
	return func(least, most float64) []plot.Tick {
		decades := math.Log10(most / least)
		var ticks []plot.Tick
		for exponent := math.Floor(math.Log10(least)); exponent <= math.Ceil(math.Log10(most)); exponent++ {
			for _, factor := range []float64{1, 2, 5} {
				value := factor * math.Pow(10, exponent)
				if value < least || value > most || factor != 1 && decades > 3 {
					continue
				}
				text := label(value)
				if factor != 1 && decades > 1.5 {
					text = ""
				}
				ticks = append(ticks, plot.Tick{Value: value, Label: text})
			}
		}
		return ticks
	}
}

// givenTicks labels certain values and no others.
func givenTicks(values []float64, label func(float64) string) func(least, most float64) []plot.Tick {
	return func(least, most float64) []plot.Tick {
		var ticks []plot.Tick
		for _, value := range values {
			if value >= least && value <= most {
				ticks = append(ticks, plot.Tick{Value: value, Label: label(value)})
			}
		}
		return ticks
	}
}

// linearTicks labels round values.
func linearTicks(label func(float64) string) func(least, most float64) []plot.Tick {
	return func(least, most float64) []plot.Tick {
		ticks := plot.DefaultTicks{}.Ticks(least, most)
		for i := range ticks {
			if ticks[i].Label != "" {
				ticks[i].Label = label(ticks[i].Value)
			}
		}
		return ticks
	}
}

// magnitude is a count for an axis: 5, 20 k, 1 M.
func magnitude(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%g M", n/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%g k", n/1e3)
	}
	return fmt.Sprintf("%g", n)
}

// roundTime is a time for an axis: 5 µs.
func roundTime(nanoseconds float64) string {
	for _, unit := range []struct {
		name string
		size float64
	}{{"s", 1e9}, {"ms", 1e6}, {"µs", 1e3}} {
		if nanoseconds >= unit.size*0.999 {
			return fmt.Sprintf("%g %s", math.Round(nanoseconds/unit.size*1000)/1000, unit.name)
		}
	}
	return fmt.Sprintf("%g ns", nanoseconds)
}

// nines is where a quantile stands on an axis that has as much room between
// 90 % and 99 % as between 99 % and 99.9 %.
func nines(quantile float64) float64 { return -math.Log10(1 - quantile) }

// quantileAxis is an axis of quantiles. Its begin has no label: there is no room
// for one beside that of 50 %.
func quantileAxis() axis {
	labels := map[float64]string{}
	var values []float64
	for _, q := range []float64{0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999} {
		labels[nines(q)] = fmt.Sprintf("%.6g %%", q*100)
		values = append(values, nines(q))
	}
	slices.Sort(values)
	return axis{label: "share of calls", ticks: givenTicks(values, func(v float64) string { return labels[v] })}
}

func timeAxis(label string) axis { return axis{label: label, log: true, ticks: logTicks(roundTime)} }
