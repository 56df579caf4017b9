package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/dump"
)

// The formats of tables and exports.
const (
	formatJSONL = "jsonl"
	formatCSV   = "csv"
	formatTSV   = "tsv"
)

var errInterrupted = errors.New("interrupted")

// reader is withStore for a command that only reads: it ends with the command's
// context.
func (a *app) reader(command *cobra.Command, work func(*api.Store) error) error {
	ctx := command.Context()
	err := a.withStore(reading, nil, func(store *api.Store) error { return work(store.WithContext(ctx)) })
	if err != nil && ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// entries yields the entries that match as EventSets, in the order of groups and
// keys and from one snapshot, then the EventSynced with its revision.
func entries(ctx context.Context, store *api.Store, filter api.Filter) iter.Seq2[api.Event, error] {
	return func(yield func(api.Event, error) bool) {
		options := api.SubscribeOptions{State: true, Filters: []api.Filter{filter}}
		for event, err := range store.Subscribe(ctx, options) {
			if !yield(event, err) || event.Type == api.EventSynced {
				return
			}
		}
	}
}

// lines has write print lines to standard output, a buffer at a time.
func (a *app) lines(write func(out *bufio.Writer) error) error {
	out := bufio.NewWriterSize(a.stdout, 64<<10)
	err := write(out)
	if flushErr := out.Flush(); err == nil {
		err = flushErr // it is the same one if write met it
	}
	return err
}

// warn says something that is no failure; nothing if there is nothing to say.
func (a *app) warn(text string) {
	if text != "" {
		fmt.Fprintf(a.stderr, "gostore: warning: %s\n", oneLine(text))
	}
}

// jsonFlag gives a command the flag --json.
func jsonFlag(command *cobra.Command, asJSON *bool, what string) {
	command.Flags().BoolVar(asJSON, "json", false, "print "+what)
}

// printable is text on one line that no terminal takes for anything else: what
// is not printable, or not UTF-8, is escaped as in Go, and so is the backslash.
func printable(text string) string {
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// appendEntry appends the members that an entry has in JSON.
func appendEntry(line []byte, key, value string, revision uint64, expires time.Time) []byte {
	line = append(dump.AppendText(line, "key", key), ',')
	line = append(dump.AppendText(line, "value", value), `,"revision":`...)
	line = strconv.AppendUint(line, revision, 10)
	if !expires.IsZero() {
		line = append(line, `,"expires_ms":`...)
		line = strconv.AppendInt(line, expires.UnixMilli(), 10)
	}
	return line
}

// printJSON prints one object of the members that were appended.
func printJSON(out io.Writer, members []byte) error {
	_, err := out.Write(append(append([]byte{'{'}, members...), '}', '\n'))
	return err
}

const jsonHelp = `With --json each line is an object. A string that is not UTF-8, or would be
longer in JSON, stands in base64 under its name with 64 behind it.`
