// Package moment reads the pages of a database as they were at one moment: the newest in the
// WAL's frames up to then, or what lies in the database. A Source follows what is committed,
// by the index of the WAL in shared memory (Index); it makes the Pages of each moment.
//
// It knows neither tables nor SQLite's library, and keeps nothing in place: that the frames
// and pages of a moment are not written over while they are looked at is up to the holder of
// the open read transaction, see docs/adr/0055-reads-of-the-files-pages.md.
package moment
