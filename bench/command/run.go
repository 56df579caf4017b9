package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"forge.lthn.ai/core/go-store/bench"
	"forge.lthn.ai/core/go-store/bench/report"
)

// Bar is a progress bar, or what stands for one.
type Bar interface {
	Set(done int64)
	Describe(text string)
	Close()
}

// Output is where the outcome goes.
type Output struct {
	// Stdout takes the table, or the JSON.
	Stdout io.Writer
	// Bar makes the progress bar, which shows rounds.
	Bar func(total int64) Bar
	// Command is the command line, for the report.
	Command string
}

// InterruptedError: the run was ended early. What was measured by then was
// written.
var InterruptedError = errors.New("interrupted: this is what was measured by then")

// Run measures as the flags say and writes what it found, also when ctx ends
// early. A MisuseError comes before anything was measured.
func (f *Flags) Run(ctx context.Context, contenders []bench.Contender, out Output) error {
	plan, err := f.Plan(len(contenders))
	if err != nil {
		return err
	}
	var bar Bar
	result, err := bench.Run(ctx, plan, contenders, func(done, total int, next string) {
		if bar == nil {
			bar = out.Bar(int64(total))
		}
		bar.Describe(next)
		bar.Set(int64(done))
	})
	if bar != nil {
		bar.Close()
	}
	if err != nil {
		return err
	}
	result.Command = out.Command
	if err := f.write(result, out.Stdout); err != nil {
		return err
	}
	if failures := result.Failures(); failures != nil {
		return fmt.Errorf("%d failed, such as: %s", len(failures), strings.Split(failures[0], "\n")[0])
	}
	if result.Interrupted {
		return InterruptedError
	}
	return nil
}

// write writes the outcome wherever it should go. One place that fails does not
// keep it from the others.
func (f *Flags) write(result *bench.Result, stdout io.Writer) error {
	var errs []error
	if f.jsonPath == "-" {
		errs = append(errs, result.WriteJSON(stdout))
	} else {
		errs = append(errs, report.Text(stdout, result), ToFile(f.jsonPath, result.WriteJSON))
	}
	errs = append(errs,
		ToFile(f.reportPath, func(out io.Writer) error { return report.HTML(out, result) }),
		ToFile(f.markdownPath, func(out io.Writer) error { return report.Markdown(out, result) }))
	return errors.Join(errs...)
}

// ToFile creates a file, or truncates it, and has it written; an empty path is none.
func ToFile(path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}
