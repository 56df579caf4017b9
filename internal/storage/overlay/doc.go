// Package overlay keeps in memory, readable, what was committed to a log and is not in the
// table of rows yet. Below an overlay lies a base, of which this package knows nothing but
// that it has rows: a read asks the overlay first, and the base for what that says
// nothing of; between commits what is in the overlay is folded into the base, a slice at a
// time. See docs/adr/0062.
//
// It knows neither SQLite nor files, it never blocks, and it starts no goroutine.
//
// # Runs
//
// An overlay is one active [run], which the writer adds to, and at most one frozen run,
// which is being folded into the base. A run says of a key that it has a row, or that it
// has none; and of a group, by a mark, that nothing of it is left of what lies below the
// run. It never says less than before: a run is only added to, until it leaves memory
// whole. So its keys lie in a skip list, of which nothing is ever taken out or copied. Searches
// begin at an [index] of it, which is out of date as a rule: it leads to a key that lies before
// what is sought, and the list's own links lead on.
//
// What is said of a key are versions, the newest first, each with the number of the
// commit that made it. A state shows, of each key, the newest version up to its own number.
//
// The rule that a read goes by, with the active run first and then the frozen one:
//
//  1. The newest version that the state shows decides.
//  2. If there is none, a mark of the group that the state shows decides: there is no row.
//  3. Otherwise what lies below is to be asked.
//
// A group's deletion leaves a mark, and a version in each key of the group that the run has
// already, so that a mark concerns what lies below its run and nothing else, and no read
// has to compare numbers of marks and versions.
//
// # Which goroutine may do what
//
// All methods of [Overlay] are the writer's, one goroutine's at a time, but for [Overlay.Get],
// [Overlay.Pin], [Overlay.Published] and [Overlay.Overtaken], which any goroutine may call at any
// time. A [State] may be read by any goroutine until it is released. Neither side ever waits for
// the other.
//
// What is written is seen by [Overlay.Working] alone until [Overlay.Commit] publishes it.
// [Overlay.Prune] then lets go of the versions that no reader can see any more.
//
// # Reading the overlay and the base as of one moment
//
// If snapshots of the base are themselves published, they best carry the state that belongs
// to them, and the cursor: see [State.Retain]. Otherwise pin a state; then take a snapshot of the base; then ask [Overlay.Overtaken]. If the
// state was overtaken, release both and begin again: the run that it takes for the active
// one has been frozen, and the base may have rows that the state does not show. If not, the
// base's snapshot has all that left memory before the state was published, and, of what did
// not, only rows of the state's frozen run, which decides before the base is asked, whether
// they have arrived there or not.
//
// A single key needs no such check: see docs/adr/0062-writes-at-the-speed-of-the-log.md,
// which has the whole protocol.
//
// # Folding
//
// [Overlay.Freeze] makes the active run the frozen one; it is arranged, by any goroutine, in
// an order that suits the base ([Frozen.Arrange]), which [Overlay.Arranged] takes over.
// [Overlay.Slice] gives its next changes, which may be made twice, [Overlay.Folded] notes that
// they have been committed to the base, and [Overlay.Retire] lets go of the run after the
// last. The base may be read at any time meanwhile.
package overlay
