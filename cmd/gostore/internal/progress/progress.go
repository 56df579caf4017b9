// Package progress draws a progress bar where it can be seen: on a
// terminal. In a pipe, a file or a log there is none.
package progress

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Unknown is the total of work whose size is not known: a spinner turns
// instead of a bar.
const Unknown = -1

// Bar is a progress bar, or nothing: every method of a nil Bar does nothing.
type Bar struct{ bar *progressbar.ProgressBar }

// Bytes shows how much of total bytes is done, and how fast.
func Bytes(out io.Writer, description string, total int64) *Bar {
	return newBar(out, total, description, progressbar.OptionShowBytes(true), progressbar.OptionShowTotalBytes(true))
}

// Duration shows how much of total has passed. Set takes milliseconds.
func Duration(out io.Writer, description string, total time.Duration) *Bar {
	return newBar(out, total.Milliseconds(), description)
}

// Steps shows how many of total steps are done. What is being done stands in
// front of it (Describe).
func Steps(out io.Writer, description string, total int64) *Bar {
	return newBar(out, total, description, progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true))
}

func newBar(out io.Writer, total int64, description string, options ...progressbar.Option) *Bar {
	if total == 0 || !IsTerminal(out) {
		return nil
	}
	return draw(out, total, description, options...)
}

func draw(out io.Writer, total int64, description string, options ...progressbar.Option) *Bar {
	return &Bar{progressbar.NewOptions64(total, append([]progressbar.Option{
		progressbar.OptionSetWriter(out),
		progressbar.OptionSetDescription(description),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100 * time.Millisecond),
		// A spinner turns when it is moved, not by a goroutine of its own.
		progressbar.OptionSetSpinnerChangeInterval(0),
		progressbar.OptionClearOnFinish(),
	}, options...)...)}
}

// Set says how much is done in all.
func (b *Bar) Set(done int64) {
	if b != nil {
		_ = b.bar.Set64(done) // a bar that can't be drawn is no reason to stop the work
	}
}

// Describe changes the text in front of the bar.
func (b *Bar) Describe(text string) {
	if b != nil {
		b.bar.Describe(text)
	}
}

// Close removes the bar from the screen, so that what is printed next stands
// on a line of its own.
func (b *Bar) Close() {
	if b != nil {
		_ = b.bar.Finish()
	}
}

// IsTerminal reports whether what is written goes to a terminal.
func IsTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
