package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

// statistics is what 'gostore stats' prints.
type statistics struct {
	Keys           int64           `json:"keys"`
	Groups         int64           `json:"groups"`
	Expired        int64           `json:"expired"`
	FileBytes      int64           `json:"file_bytes"`
	WALBytes       int64           `json:"wal_bytes"`
	LogBytes       int64           `json:"log_bytes"`
	Revision       uint64          `json:"revision"`
	OldestRevision *uint64         `json:"oldest_revision"` // nil: the log is empty
	LogBegins      *time.Time      `json:"log_begins"`
	LogBeginsMS    *int64          `json:"log_begins_ms,omitempty"` // in its place if RFC 3339 can't carry it
	Namespaces     []namespaceLine `json:"namespaces"`
}

type namespaceLine struct {
	Namespace string `json:"namespace"`
	Keys      int64  `json:"keys"`
	Groups    int64  `json:"groups"`
}

func (a *app) statsCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "stats --db PATH [--json]",
		Short: "Print what a database holds, and how large it is",
		Long: `Prints how many keys and groups live and how many keys have expired without having
been removed yet; the sizes of the file, of SQLite's write-ahead log beside it,
and of the log of changes within it; the last revision and the oldest in that log,
from which a subscription can resume; and the usage of each namespace.

It counts all keys. Beside a program that writes, its parts may be of moments that
follow each other.

With --json one object is printed: keys, groups, expired, file_bytes, wal_bytes,
log_bytes, revision, oldest_revision and log_begins (null if that log is empty),
and namespaces, a list of objects with namespace, keys and groups. A log_begins
that RFC 3339 can't carry, beyond the year 9999, is null, and log_begins_ms has it
in milliseconds since 1970.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return a.reader(command, func(store *api.Store) error {
				collected, err := collectStatistics(store, a.database)
				if err != nil {
					return err
				}
				if asJSON {
					return json.NewEncoder(a.stdout).Encode(collected)
				}
				return a.printStatistics(collected)
			})
		},
	}
	jsonFlag(command, &asJSON, "one JSON object")
	return command
}

func collectStatistics(store *api.Store, database string) (s statistics, err error) {
	stats, err := store.Stats()
	if err != nil {
		return s, err
	}
	s = statistics{Keys: stats.Keys, Groups: stats.Groups, Expired: stats.Expired, LogBytes: stats.LogBytes,
		Revision: stats.Revision, Namespaces: []namespaceLine{}}
	s.logBegins(stats)
	if s.FileBytes, s.WALBytes, err = databaseSizes(database); err != nil {
		return s, err
	}
	s.Namespaces, err = namespaces(store, s.Namespaces)
	return s, err
}

func (s *statistics) logBegins(stats api.Stats) {
	if !stats.LogBegins.IsZero() {
		s.OldestRevision = &stats.OldestRevision
		moment(stats.LogBegins, &s.LogBegins, &s.LogBeginsMS)
	}
}

// databaseSizes asks the file system: no file of a database may be opened that is in use
// but through SQLite.
func databaseSizes(database string) (file, wal int64, err error) {
	if database, err = filepath.EvalSymlinks(database); err != nil {
		return 0, 0, err
	}
	info, err := os.Stat(database)
	if err != nil {
		return 0, 0, err
	}
	file = info.Size()
	if info, err = os.Stat(database + "-wal"); err == nil {
		wal = info.Size()
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil // no process has the database open
	}
	return file, wal, err
}

// namespaces appends the usage of each namespace.
func namespaces(store *api.Store, lines []namespaceLine) ([]namespaceLine, error) {
	for group, err := range store.GroupsSeq("") {
		if err != nil {
			return nil, err
		}
		namespace, _, found := strings.Cut(group, ":")
		if !found || len(lines) > 0 && lines[len(lines)-1].Namespace == namespace {
			continue // the groups of a namespace follow each other
		}
		usage, err := store.Usage(namespace)
		if errors.Is(err, api.InvalidNamespaceError) {
			continue // a group that has a colon
		}
		if err != nil {
			return nil, err
		}
		lines = append(lines, namespaceLine{namespace, usage.Keys, usage.Groups})
	}
	return lines, nil
}

func (a *app) printStatistics(s statistics) error {
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "keys\t%d\n", s.Keys)
	fmt.Fprintf(table, "groups\t%d\n", s.Groups)
	fmt.Fprintf(table, "expired, not yet removed\t%d\n", s.Expired)
	fmt.Fprintf(table, "file\t%d bytes\n", s.FileBytes)
	fmt.Fprintf(table, "write-ahead log\t%d bytes\n", s.WALBytes)
	fmt.Fprintf(table, "log of changes\t%d bytes\n", s.LogBytes)
	fmt.Fprintf(table, "revision\t%d\n", s.Revision)
	switch {
	case s.OldestRevision == nil:
		fmt.Fprintf(table, "oldest revision in the log\tnone\n")
	case s.LogBegins == nil:
		fmt.Fprintf(table, "oldest revision in the log\t%d, of %d ms\n", *s.OldestRevision, *s.LogBeginsMS)
	default:
		fmt.Fprintf(table, "oldest revision in the log\t%d, of %s\n", *s.OldestRevision, s.LogBegins.Format(time.RFC3339))
	}
	for _, line := range s.Namespaces {
		fmt.Fprintf(table, "namespace %s\t%s in %s\n", line.Namespace,
			plural(int(line.Keys), "key"), plural(int(line.Groups), "group"))
	}
	return table.Flush()
}
