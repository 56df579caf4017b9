// Package sqlite owns the database file: its lock, its schema, its connections and
// every line of SQL. It opens what package storage describes: a file, or with
// ":memory:" the trees of package memory.
//
// One connection writes (fileWriter); reads are served by the file's pages, and by others
// that physically can't write.
// No goroutine runs a caller's code while holding something that another caller
// waits for: that is why scans that outlive their first chunk leave the shared
// connections.
//
// Importing it changes nothing of SQLite for the rest of the program: what is set is
// set on the connections that it opens.
//
// The package never decides: no clock (callers pass "now"), no events, no
// quotas, no retries, no ordering of writers. A Writer is owned by one
// goroutine at a time and has no lock to prove it.
//
// # What holds at every moment
//
//   - Group names, keys and values are bound as TEXT, always: TEXT is never
//     equal to a BLOB in SQLite, so one forgotten binding would hide rows.
//   - Nothing but SQLite closes a descriptor of a database, or of its -shm, while a
//     connection of this process is on it: that drops every POSIX lock that the
//     process holds on the file (inode).
//   - Nothing is written before what lies at the names has proved to be ours, and
//     nothing is removed or truncated by name that may be another program's.
//   - A WAL that is replayed belongs to its database (stamp).
//   - A statement is reset before the call that stepped it returns, except in a
//     scan that owns its connection: an unreset statement pins the WAL.
package sqlite
