package kv

import (
	"errors"
	"fmt"
)

// What operations on whole files can answer. Nothing was changed.
var (
	// InvalidTargetError: a file can't be written there: the store itself or one
	// of its own files, no regular file, or one with something beside it that
	// would be taken for a part of it.
	InvalidTargetError = errors.New("not a place to write to")
	// DamagedError: what was read of the file is damaged.
	DamagedError = errors.New("the database is damaged")
)

// What a Check can find. Finding.Kind is one of them.
const (
	FindingStructure = "structure" // what SQLite finds: pages, cells, indexes, its own constraints
	FindingLog       = "log"       // a record that can't be read, revisions or sizes that don't join
	FindingRow       = "row"       // entries that can't be read, found, or expired
	FindingCount     = "count"     // two ways of counting the same that disagree
	FindingSchema    = "schema"    // something of the store's own that is missing, or not as it should be
	FindingTrigger   = "trigger"   // a program within the file that is not the store's, and changes what is written
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind string
	Text string
}

func (f Finding) String() string { return fmt.Sprintf("%s: %s", f.Kind, f.Text) }

// CheckReport is what a Check found, and what it looked at.
type CheckReport struct {
	Findings   []Finding
	Foreign    []string // tables, indexes and views of others, which do no harm
	Pages      int64    // of the database; 0 in memory
	Entries    int64    // live or expired
	LogRecords int64
	Revision   uint64 // at which all of it was read
	// Differing is how many entries are not what the log says that their revision
	// wrote, as far back as it goes: another program has changed them while the store
	// was closed, as it may, or the disk has. It can't be told which, so it is no finding.
	Differing int64
}

// Whole reports whether nothing is wrong.
func (r *CheckReport) Whole() bool { return len(r.Findings) == 0 }

// Compaction is how many bytes the database took before and takes after; both
// are 0 in memory.
type Compaction struct{ Before, After int64 }

// SalvageReport is what a Salvage could read, and what not.
type SalvageReport struct {
	Entries      int64     // in the new store
	Strays       int64     // of them, those that no page led to any more
	Replayed     int64     // of them, those that only the log had
	LogRecords   int64     // in the new store
	Revision     uint64    // of the new store
	Unreadable   []PageRun // pages that are damaged, or that nothing can be made of
	LostEntries  int64     // entries that are known to be missing
	LostRecords  int64     // records of the log that could not be read
	OlderRecords int64     // records of the log that were read and lie before a gap: they are not kept
	Findings     []Finding // all of it in words
}

// PageRun is a number of adjoining pages, both ends included.
type PageRun struct{ First, Last uint32 }
