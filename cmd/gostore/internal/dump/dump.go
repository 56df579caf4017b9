// Package dump writes and reads exports: JSON Lines that carry every byte a
// store can hold, with expiries to the millisecond, and that tell when they were
// cut off or changed.
//
// It knows no store. It never skips what it can't read.
//
// An export is a header, a line for each row, and an end:
//
//	{"gostore":"export","version":1,"began":"2026-03-01T12:00:00Z","began_revision":7,"sum":"…"}
//	{"group":"g","key":"k","value":"v","expires_ms":1772366400000,"sum":"…"}
//	{"group":"g","key64":"/w==","value":"","sum":"…"}
//	{"end":true,"rows":2,"revision":7,"sum":"…"}
//
// A string that is not UTF-8 stands in base64 under its name with 64 behind it,
// as does one that would be longer in JSON. The sum is the CRC-32C of all that
// stands before it, in the lines before its own too, line ends and sums
// excepted: so the first line that is damaged, missing, or out of its place is
// known by its number before anything is done with it.
package dump

import (
	"errors"
	"hash/crc32"
	"time"
)

// Version is that of the exports that are written and read.
const Version = 1

// Header says what an export is of.
type Header struct {
	Began    time.Time
	Revision uint64  // the store's when it began; the rows are of this one or, beside a writing program, a later one
	Group    *string // only this group
	Prefix   *string // only groups that begin with this
}

// End is what stands behind the rows.
type End struct {
	Rows     int
	Revision uint64 // of the snapshot that all rows are of
}

// NotAnExportError: the text does not begin as an export does.
var NotAnExportError = errors.New("not an export of gostore")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The end of every line: eight hexadecimal digits between these.
const (
	sumBegins = `,"sum":"`
	sumEnds   = `"}`
	sumLength = len(sumBegins) + 8 + len(sumEnds)
)
