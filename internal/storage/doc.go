// Package storage is what the store asks of a database: Reads, Writer, Snapshot and
// Database, the values that they speak in, and what their errors mean. It holds no rows
// and opens nothing, and does not know SQLite: package sqlite opens files, and package
// memory is a store without one.
//
// No implementation decides: no clock (callers pass "now"), no events, no
// quotas, no retries, no ordering of writers. A Writer is owned by one
// goroutine at a time and has no lock to prove it.
package storage
