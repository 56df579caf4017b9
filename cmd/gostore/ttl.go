package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/dump"
)

func (a *app) ttlCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "ttl --db PATH [--json] GROUP KEY",
		Short: "Print how long a key still lives",
		Long: `Prints the time that is left until a key expires, such as 1h29m59.5s, or none if it
never does. A key that is not there, or has expired, is a failure.

With --json one object is printed: key and, if the key expires, expires_ms, in
milliseconds since 1970, and remaining_ms.`,
		Args:              exactly("GROUP", "KEY"),
		ValidArgsFunction: a.completeNames(2),
		RunE: func(command *cobra.Command, arguments []string) error {
			group, key := arguments[0], arguments[1]
			return a.reader(command, func(store *api.Store) error {
				entry, err := store.Entry(group, key)
				if errors.Is(err, api.NotFoundError) {
					return noKey(group, key)
				}
				if err != nil {
					return err
				}
				remaining := untilMilliseconds(time.Now(), entry.ExpiresAt)
				if remaining <= 0 && !entry.ExpiresAt.IsZero() {
					return noKey(group, key) // it has expired since it was read
				}
				return printTTL(a.stdout, key, entry.ExpiresAt, remaining, asJSON)
			})
		},
	}
	jsonFlag(command, &asJSON, "one JSON object")
	return command
}

// untilMilliseconds is the time until a deadline. A time.Duration would end after
// 292 years.
func untilMilliseconds(now, deadline time.Time) int64 {
	return deadline.UnixMilli() - now.UnixMilli()
}

func printTTL(out io.Writer, key string, deadline time.Time, remaining int64, asJSON bool) error {
	if !asJSON {
		text := "none"
		if !deadline.IsZero() {
			text = durationText(remaining)
		}
		_, err := fmt.Fprintln(out, text)
		return err
	}
	line := dump.AppendText(nil, "key", key)
	if !deadline.IsZero() {
		line = append(line, `,"expires_ms":`...)
		line = strconv.AppendInt(line, deadline.UnixMilli(), 10)
		line = append(line, `,"remaining_ms":`...)
		line = strconv.AppendInt(line, remaining, 10)
	}
	return printJSON(out, line)
}

// durationText is milliseconds in the form of a time.Duration, which holds no
// more than 292 years.
func durationText(milliseconds int64) string {
	const hour = int64(time.Hour / time.Millisecond)
	if milliseconds <= math.MaxInt64/int64(time.Millisecond) {
		return (time.Duration(milliseconds) * time.Millisecond).String()
	}
	rest := time.Duration(milliseconds%hour) * time.Millisecond
	return fmt.Sprintf("%dh%dm%ss", milliseconds/hour, rest/time.Minute,
		strconv.FormatFloat((rest%time.Minute).Seconds(), 'f', -1, 64))
}
