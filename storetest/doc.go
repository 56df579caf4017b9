// Package storetest is a kit for tests of programs that keep their state in a store.
//
//	func TestSessionExpires(t *testing.T) {
//		s := storetest.New(t)                // a store on a clock that stands still
//		login(s.Store, "ada")                // the program under test takes a *api.Store
//		s.Advance(time.Hour)                 // an hour passes, at once
//		s.Kill()                             // kill -9, and the store is opened again
//		defer s.Fault(storetest.DiskFull)()  // from here on the disk is full
//		...
//	}
//
// What it offers:
//
//   - New: a store with one line, closed when the test ends, which fails the test if the
//     store left goroutines behind or was left unable to write.
//   - Advance and Jump: the two motions of a clock. No test need wait for a TTL.
//   - Kill, PowerLoss, Reopen: what a killed process leaves, what a power cut may leave,
//     an ordinary restart; each opens the store again at the same place.
//   - At, Crash, Panic: something happens at a named point inside the store. EachCrash
//     runs a program once for every such point, and kills it there.
//   - Fault: the disk is full, fails, is slow or read-only, by name, until it is healed.
//   - Run: several actors and one store, whose messages are delivered one at a time in an
//     order that is drawn from a seed. A failure names the seed, and the seed repeats it.
//
// All of it is of the one store that it was called on: tests with stores of their own may
// run in parallel. A store on disk (the default) lies in a folder that is the test's own
// and is not synced to the real disk: power cuts are played on what was written and
// synced, so it costs nothing in certainty, and makes tests fast.
//
// The package is for tests: it imports testing, and stands between SQLite and the file
// system for the stores that it makes. No program should link it.
package storetest
