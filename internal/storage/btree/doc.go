// Package btree reads the b-trees of an SQLite database at the speed of its pages: rows
// of tables by rowid, entries of indexes by key, both in order and both ways.
//
// It is handed pages as they were at one moment, and knows neither files nor what the
// tables are for. It never writes, locks, waits or keeps a page longer than a cursor is
// in use. What it returns are parts of pages, or of a buffer of its caller's [Record]
// where a row is too large for its page: a caller that keeps any of it copies it.
//
// No byte of a page is believed: numbers are checked before they are used, and nothing
// is followed for longer than a database of that size could need. What can't be right is
// a [*DamagedError]; what may be right and is not read here is a [RefusedError], and
// something for SQLite. A damaged database may still give wrong rows, as it may with
// SQLite: not every page has a checksum.
//
// Keys compare as SQLite's do with the collation BINARY, ascending. Text is taken for
// UTF-8, which compares as its bytes do. Whether an index is of that kind, and which
// column is which, is for the caller, which has read the schema.
//
// The format: https://www.sqlite.org/fileformat.html
package btree
