// Package bulk writes tables and indexes of an SQLite database whose rows come in order, at
// the speed of its pages: each page is written once, full, behind those that are there.
//
// It owns a file that no other process has open, in which the trees are there and empty. What it
// has made is a database again only after [File.Finish]: it neither locks, nor syncs, nor
// keeps a journal, so it is for files that are thrown away if anything fails. It knows no
// SQLite, and not what the tables are for; whether rows come in order, and each index has
// the entries that its table wants, is its caller's to see to.
//
// The format: https://www.sqlite.org/fileformat.html
package bulk
