package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	succeeded  = 0
	failed     = 1
	misused    = 2
	mismatched = 3 // a key was not as 'gostore cas' compared it with
)

// app is what every command works with.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	database       string          // --db
	wait           time.Duration   // --wait
	ctx            context.Context // the command's, once it runs
	started        bool            // the command line was understood, a command runs
}

// misuseError is a mistake in the command line that only its command could see.
type misuseError struct{ text string }

func (e misuseError) Error() string { return e.text }

func misuse(format string, arguments ...any) error {
	return misuseError{fmt.Sprintf(format, arguments...)}
}

// run executes one command line and returns its exit code. It is all of the
// program but the signals.
func run(ctx context.Context, arguments []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.rootCommand()
	root.SetArgs(arguments)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)

	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return succeeded
	}
	if isBrokenPipe(err) {
		return succeeded // as with 'gostore list g | head': the reader has seen enough
	}
	var wrong misuseError
	if text, ok := explainMismatch(err); ok {
		fmt.Fprintf(stderr, "gostore: %s\n", oneLine(text))
		return mismatched
	}
	if a.started && !errors.As(err, &wrong) {
		fmt.Fprintf(stderr, "gostore: %s\n", oneLine(a.explain(err)))
		return failed
	}
	fmt.Fprintf(stderr, "gostore: %s; see '%s --help'\n", oneLine(err.Error()), command.CommandPath())
	return misused
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "gostore",
		Short: "A group-namespaced key-value store in one file",
		Long: `gostore fills, reads and shows off go-store databases: one file, keys in
groups, safe for thousands of goroutines.

It exits with 0 when all went well, 1 when the work failed, 2 when it was called
wrongly and 3 when 'gostore cas' found a key otherwise than it was told.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(command *cobra.Command, _ []string) error {
			a.started, a.ctx = true, command.Context()
			return a.checkWait()
		},
		RunE: func(*cobra.Command, []string) error {
			return misuse("name a command")
		},
	}
	root.PersistentFlags().StringVar(&a.database, "db", "", "the database's `PATH`")
	root.PersistentFlags().DurationVar(&a.wait, "wait", 0, "if another program has the database open, wait up to this `DURATION` for it, such as 5s")
	root.AddCommand(
		a.importCommand(), a.getCommand(), a.setCommand(), a.casCommand(), a.incrementCommand(),
		a.ttlCommand(), a.touchCommand(), a.deleteCommand(), a.countCommand(), a.listCommand(), a.groupsCommand(),
		a.renderCommand(), a.statsCommand(), a.exportCommand(),
		a.watchCommand(), a.historyCommand(), a.outboxCommand(), a.inspectCommand(),
		a.backupCommand(), a.restoreCommand(), a.checkCommand(), a.compactCommand(), a.salvageCommand(),
		a.demoCommand(), a.stressCommand(), a.soakCommand(), a.benchCommand(),
		a.versionCommand(),
	)
	return root
}

// exactly demands the arguments that a command's usage names.
func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, arguments []string) error {
		if len(arguments) == len(names) {
			return nil
		}
		return fmt.Errorf("needs exactly %s, got %d argument(s)", strings.Join(names, " "), len(arguments))
	}
}

// oneLine keeps a message on one line whatever a key or a cause has in it.
func oneLine(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, " ")
}
