package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// axis says what an axis shows.
type axis struct {
	label string
	log   bool
	zero  bool // begins at zero
	ticks func(least, most float64) []tick
	value func(float64) string // a value in words
}

// tick is a mark of an axis. Those without a label are only marks.
type tick struct {
	value float64
	label string
}

// scale puts values of an axis to where they are drawn.
type scale struct {
	axis
	least, most float64
	from, to    float64 // where the least and the most are drawn
}

// scaled is the axis, a little longer than the values that it shows. What can't be shown,
// such as nothing on a logarithmic axis, has no part in that.
func (a axis) scaled(values []float64) scale {
	shown := slices.DeleteFunc(values, func(v float64) bool { return !a.shows(v) })
	if len(shown) == 0 {
		shown = []float64{1}
	}
	s := scale{axis: a, least: slices.Min(shown), most: slices.Max(shown)}
	if a.log {
		s.least, s.most = s.least/1.3, s.most*1.3
		return s
	}
	if a.zero {
		s.least = 0
	}
	slack := max((s.most-s.least)*0.08, math.Abs(s.most)*1e-6, 1e-3)
	s.most += slack
	if !a.zero {
		s.least -= slack
	}
	return s
}

// shows says whether a value has a place on the axis.
func (a axis) shows(v float64) bool {
	return !math.IsNaN(v) && !math.IsInf(v, 0) && (!a.log || v > 0)
}

// at is where a value is drawn: at the axis's end, if it lies beyond.
func (s scale) at(v float64) float64 {
	v = min(max(v, s.least), s.most)
	share := (v - s.least) / (s.most - s.least)
	if s.log {
		share = math.Log(v/s.least) / math.Log(s.most/s.least)
	}
	return s.from + share*(s.to-s.from)
}

// logTicks labels the powers of ten, and 2 and 5 times them where there is room. An axis
// that is too short to have two of these is labelled as a linear one.
func logTicks(label func(float64) string) func(least, most float64) []tick {
	return func(least, most float64) []tick {
		decades, labelled := math.Log10(most/least), 0
		var ticks []tick
		for exponent := math.Floor(math.Log10(least)); exponent <= math.Ceil(math.Log10(most)); exponent++ {
			for _, factor := range []float64{1, 2, 5} {
				t := tick{value: factor * math.Pow(10, exponent)}
				if t.value < least || t.value > most || factor != 1 && decades > 3 {
					continue
				}
				if factor == 1 || decades <= 1.5 {
					t.label = label(t.value)
					labelled++
				}
				ticks = append(ticks, t)
			}
		}
		if labelled < 2 {
			return linearTicks(label)(least, most)
		}
		return ticks
	}
}

// givenTicks labels certain values and no others.
func givenTicks(values []float64, label func(float64) string) func(least, most float64) []tick {
	return func(least, most float64) []tick {
		var ticks []tick
		for _, value := range values {
			if value >= least && value <= most {
				ticks = append(ticks, tick{value, label(value)})
			}
		}
		return ticks
	}
}

// linearTicks labels round values, some four to eight of them.
func linearTicks(label func(float64) string) func(least, most float64) []tick {
	return func(least, most float64) []tick {
		step := math.Pow(10, math.Floor(math.Log10((most-least)/4)))
		for _, factor := range []float64{5, 2} {
			if (most-least)/(step*factor) >= 4 {
				step *= factor
				break
			}
		}
		var ticks []tick
		for i := math.Ceil(least / step); i*step <= most; i++ {
			value := i*step + 0 // never -0
			ticks = append(ticks, tick{value, label(value)})
		}
		return ticks
	}
}

// magnitude is a count for an axis: 5, 20 k, 1 M.
func magnitude(n float64) string {
	switch {
	case n >= 1e6:
		return digits(n/1e6) + " M"
	case n >= 1e3:
		return digits(n/1e3) + " k"
	}
	return digits(n)
}

// digits are the first six of a number: enough for a tick, and without what binary
// fractions leave behind.
func digits(n float64) string { return strconv.FormatFloat(n, 'g', 6, 64) }

// roundTime is a time for an axis: 5 µs.
func roundTime(nanoseconds float64) string {
	for _, unit := range []struct {
		name string
		size float64
	}{{"s", 1e9}, {"ms", 1e6}, {"µs", 1e3}} {
		if nanoseconds >= unit.size*0.999 {
			return digits(math.Round(nanoseconds/unit.size*1000)/1000) + " " + unit.name
		}
	}
	return digits(nanoseconds) + " ns"
}

// nines is where a quantile stands on an axis that has as much room between
// 90 % and 99 % as between 99 % and 99.9 %.
func nines(quantile float64) float64 { return -math.Log10(1 - quantile) }

// percent is the share that stands at a place of such an axis.
func percent(place float64) string {
	return strconv.FormatFloat(100-100*math.Pow(10, -place), 'g', 7, 64) + " %"
}

// quantileAxis is an axis of quantiles. Its begin has no label: there is no room
// for one beside that of 50 %.
func quantileAxis() axis {
	var values []float64
	for _, q := range []float64{0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999} {
		values = append(values, nines(q))
	}
	return axis{label: "share of calls", value: percent, ticks: givenTicks(values, percent)}
}

func timeAxis(label string) axis {
	return axis{label: label, log: true, value: Time, ticks: logTicks(roundTime)}
}

// share is a share of one as percent.
func share(v float64) string { return fmt.Sprintf("%.3g %%", v*100) }
