package metamorphic

import (
	"go/parser"
	"syscall"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"

	"github.com/stretchr/testify/require"
)

// Programs that have failed once, as they were printed.

// A write under a quota whose namespace could not be counted had an error without a
// name.
func TestRegression_CountThatFails(t *testing.T) {
	replay(t, settings{ReadCache: 8192, Buffer: 200, Faults: true},
		fault{Step: "quota.count"},
		single{On: 4, write: write{Call: "Set", Group: "h", Key: "k"}},
	)
}

// What was compacted while a reader was in the way is moved later, and the file
// becomes smaller then: behind a kill it was refused as truncated. See
// TestKilledAfterItsFileHasShrunk, which is sure to come to it.
func TestRegression_KilledBehindACompaction(t *testing.T) {
	full := setAll{Items: []api.Item{{Group: "g", Key: "k", Value: "v"}, {Group: "h", Key: "l", Value: "v"}}}
	replay(t, settings{},
		full,
		snapshot{Slot: 1},
		snapshotReading{Slot: 1, Read: read{Call: "CountAll"}},
		compact{},
		kill{},
		full,
		kill{With: settings{Discard: true}},
		full,
		kill{},
	)
}

// Two faults in a row, and nothing written between them: the store pauses, by its clock.
func TestRegression_PauseAfterTwoFaults(t *testing.T) {
	replay(t, settings{},
		broken{Error: syscall.EIO, Write: &single{write: write{Call: "Set", Key: "k", Value: "1"}}},
		broken{Error: syscall.EIO, Write: &single{write: write{Call: "Set", Key: "k", Value: "2"}}},
		single{write: write{Call: "Set", Key: "k", Value: "3"}},
	)
}

// What is written expired, twice, makes room for what comes behind: which of two that
// expired at the same moment goes is not said.
func TestRegression_RoomByWhatTheBatchWrote(t *testing.T) {
	replay(t, settings{Memory: true},
		setAll{On: 3, Items: []api.Item{{Group: "g", Key: "k", Value: "1"}, {Group: "g", Key: "m", Value: "1"}}},
		single{On: 3, write: write{Call: "SetWithTTL", Group: "g", Key: "l", Value: "1", TTL: time.Millisecond}},
		advance{By: time.Second},
		batch{On: 3, Writes: []write{
			{Call: "SetWithTTL", Value: "1"},
			{Call: "SetWithTTL", Group: "g", Key: "l", Value: "07"},
			{Call: "SetWithTTL", Group: "i", Key: "k", Value: "1", TTL: time.Second},
		}},
		verification{},
	)
}

// A transaction that has a key persist and then expire does both: the first ends the
// key's timer.
func TestRegression_TouchBehindPersist(t *testing.T) {
	replay(t, settings{Memory: true},
		single{On: 1, write: write{Call: "SetWithTTL", Key: "k", Value: "1", TTL: time.Second}},
		transaction{On: 1, Steps: []step{{Write: write{Call: "Persist", Key: "k"}}, {Write: write{Call: "Touch", Key: "k", TTL: time.Second}}}},
	)
}

// What a write whose outcome is unknown has left expired may be gone before any read looks.
func TestRegression_ReapedBehindAFault(t *testing.T) {
	for range 20 {
		replay(t, settings{Memory: true, Reaper: true, Faults: true},
			fault{Step: "cache.committed"},
			single{On: 1, write: write{Call: "SetWithTTL", Key: "k", Value: "v"}},
		)
	}
}

// A program is printed as Go.
func TestProgramsPrintThemselves(t *testing.T) {
	p := program{settings{Memory: true, History: api.Retention{Revisions: 20}}, []operation{
		single{On: 1, write: write{Call: "SetWithTTL", Group: "g\x00", Key: "\xff", Value: "two\nlines", TTL: time.Second}},
		transaction{Steps: []step{{Read: read{Call: "Get"}}, {Write: write{Call: "Delete", Key: "k"}}}, Between: &single{}},
		scanning{After: 1, scan: scan{Reverse: true}},
		reopen{With: settings{ReadCache: -1}},
		readOnly{},
	}}
	require.Equal(t, `func TestRegression_(t *testing.T) {
	replay(t, settings{Memory: true, History: api.Retention{Revisions: 20}},
		single{On: 1, write: write{Call: "SetWithTTL", Group: "g\x00", Key: "\xff", Value: "two\nlines", TTL: 1000000000}},
		transaction{Steps: []step{{Read: read{Call: "Get"}}, {Write: write{Call: "Delete", Key: "k"}}}, Between: &single{}},
		scanning{After: 1, scan: scan{Reverse: true}},
		reopen{With: settings{ReadCache: -1}},
		readOnly{},
	)
}
`, p.test())
	_, err := parser.ParseExpr(`func() {` + source(p.operations[0]) + `}`)
	require.NoError(t, err)
}

// An actor that fails has a transaction be rolled back before its conflict is seen.
func TestRegression_TransactionThatAFaultUndoesBeforeItsConflict(t *testing.T) {
	replay(t, settings{Memory: true, Faults: true},
		fault{Step: "quota.count"},
		transaction{On: 1, Steps: []step{
			{Read: read{Call: "Get", Key: "k"}}, {Write: write{Call: "Set", Group: "g", Key: "k", Value: "1"}},
			{Write: write{Call: "Set", Group: "h", Key: "k", Value: "1"}},
		}, Between: &single{On: 2, write: write{Call: "Set", Key: "k", Value: "1"}}, Interrupt: 2},
	)
}
