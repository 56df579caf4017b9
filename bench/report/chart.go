package report

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"unicode/utf8"
)

// palette is that of Okabe and Ito, which colour-blind readers can tell apart,
// without its black and with the yellow darkened for a white page.
var palette = []template.CSS{
	"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#91781e", "#787878",
}

func colour(i int) template.CSS { return palette[i%len(palette)] }

// point is one value with what it spread over.
type point struct{ x, y, least, most float64 }

// series is one line of a chart.
type series struct {
	name    string
	colour  template.CSS
	dashed  bool
	dotless bool // a line of many points
	points  []point
}

// The size of a chart in pixels, if a page has three of them in a row, and its letters.
// How wide a text gets is the browser's affair: as wide as figures mostly are has to do.
const (
	chartWidth, chartHeight = 340.0, 212.0
	letterHeight            = 10.5
	letterWidth             = 0.56 * letterHeight
)

func width(text string) float64 { return float64(utf8.RuneCountInString(text)) * letterWidth }

// chart draws lines as an SVG element for a page of HTML: as wide as there is room, in
// the page's fonts, and in its light or its dark colours (style.html).
func chart(title string, x, y axis, lines []series) template.HTML {
	c := canvas{x: x.scaled(values(lines, func(pt point) []float64 { return []float64{pt.x} })),
		y: y.scaled(values(lines, func(pt point) []float64 { return []float64{pt.least, pt.y, pt.most} }))}
	across, up := x.ticks(c.x.least, c.x.most), y.ticks(c.y.least, c.y.most)
	c.place(up)
	c.write(`<svg class="chart" viewBox="0 0 %s %s" role="img" aria-label="%s">`, number(chartWidth), number(chartHeight),
		template.HTMLEscapeString(spoken(title, x, y, lines)))
	c.axes(across, up)
	for _, line := range lines {
		c.line(line)
	}
	c.write("</svg>")
	return template.HTML(c.out.String())
}

func values(lines []series, of func(point) []float64) (all []float64) {
	for _, line := range lines {
		for _, pt := range line.points {
			all = append(all, of(pt)...)
		}
	}
	return all
}

// spoken is the chart's text for screen readers: where each line begins and ends.
func spoken(title string, x, y axis, lines []series) string {
	var out strings.Builder
	out.WriteString(title + ".")
	if x.label != "" && y.label != "" {
		fmt.Fprintf(&out, " Across: %s. Up: %s.", x.label, y.label)
	}
	for _, line := range lines {
		if len(line.points) == 0 || line.name == "" {
			continue
		}
		first, last := line.points[0], line.points[len(line.points)-1]
		fmt.Fprintf(&out, " %s: %s at %s", line.name, y.value(first.y), x.value(first.x))
		if len(line.points) > 1 {
			fmt.Fprintf(&out, ", %s at %s", y.value(last.y), x.value(last.x))
		}
		out.WriteString(".")
	}
	return out.String()
}

// canvas is a chart that is being drawn.
type canvas struct {
	out                      strings.Builder
	x, y                     scale
	left, right, top, bottom float64 // of the field
}

func (c *canvas) write(format string, arguments ...any) { fmt.Fprintf(&c.out, format, arguments...) }

// place leaves room around the field for the axes' labels.
func (c *canvas) place(up []tick) {
	c.left, c.right, c.top, c.bottom = 8, chartWidth-8, 8, chartHeight-letterHeight-12
	for _, t := range up {
		c.left = max(c.left, width(t.label)+8)
	}
	if c.y.label != "" {
		c.left += letterHeight + 6
	}
	if c.x.label != "" {
		c.bottom -= letterHeight + 5
	}
	c.x.from, c.x.to = c.left, c.right
	c.y.from, c.y.to = c.bottom, c.top
}

// axes draws the grid, the axes and their labels. A label that would touch the one before
// it is left out.
func (c *canvas) axes(across, up []tick) {
	c.write(`<path class="mesh" d="`)
	for _, t := range across {
		c.write("M%s %sV%s", number(c.x.at(t.value)), number(c.top), number(c.bottom))
	}
	for _, t := range up {
		c.write("M%s %sH%s", number(c.left), number(c.y.at(t.value)), number(c.right))
	}
	c.write(`"/><path class="axis" d="M%s %sV%sH%s"/>`, number(c.left), number(c.top), number(c.bottom), number(c.right))
	c.write(`<g text-anchor="middle">`)
	free := 0.0
	for _, t := range across {
		half := width(t.label) / 2
		at := min(c.x.at(t.value), chartWidth-half)
		if t.label != "" && at-half >= free {
			c.text(at, c.bottom+letterHeight+3, t.label)
			free = at + half + letterWidth
		}
	}
	if c.x.label != "" {
		c.text((c.left+c.right)/2, chartHeight-4, c.x.label)
	}
	if c.y.label != "" {
		c.write(`<g transform="translate(%s %s) rotate(-90)">`, number(letterHeight), number((c.top+c.bottom)/2))
		c.text(0, 0, c.y.label)
		c.write("</g>")
	}
	c.write(`</g><g text-anchor="end">`)
	free = chartHeight
	for _, t := range up {
		if at := c.y.at(t.value); t.label != "" && at+letterHeight/2 <= free {
			c.text(c.left-5, at+letterHeight*0.35, t.label)
			free = at - letterHeight/2
		}
	}
	c.write("</g>")
}

func (c *canvas) text(x, y float64, text string) {
	c.write(`<text x="%s" y="%s">%s</text>`, number(x), number(y), template.HTMLEscapeString(text))
}

// line draws a line, then its spreads, then its dots, each of which says what it stands
// for when it is pointed at.
func (c *canvas) line(line series) {
	var path, bars, dots strings.Builder
	command, drawn := "M", ""
	for _, pt := range line.points {
		if !c.x.shows(pt.x) || !c.y.shows(pt.y) {
			command = "M" // a gap
			continue
		}
		x, y := number(c.x.at(pt.x)), number(c.y.at(pt.y))
		if at := x + " " + y; at != drawn || command == "M" {
			path.WriteString(command + at)
			command, drawn = "L", at
		}
		if pt.least != pt.most {
			fmt.Fprintf(&bars, "M%[1]s %[2]sV%[3]sm-2.5 0h5M%[1]s %[2]sm-2.5 0h5", x, number(c.y.at(pt.least)), number(c.y.at(pt.most)))
		}
		if !line.dotless {
			fmt.Fprintf(&dots, `<circle cx="%s" cy="%s" r="2.5"><title>%s</title></circle>`, x, y,
				template.HTMLEscapeString(strings.TrimPrefix(line.name+": ", ": ")+c.y.value(pt.y)+" at "+c.x.value(pt.x)))
		}
	}
	if path.Len() == 0 {
		return
	}
	dashes := ""
	if line.dashed {
		dashes = ` stroke-dasharray="5 4"`
	}
	c.write(`<g class="line" style="--colour: %s"><path d="%s"%s/>`, line.colour, path.String(), dashes)
	if bars.Len() > 0 {
		c.write(`<path class="spread" d="%s"/>`, bars.String())
	}
	c.write("%s</g>", dots.String())
}

// number is a length with a tenth of a pixel.
func number(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}
