// Package memory is the store of ":memory:": trees in process memory behind the
// interfaces of package storage. It knows no file and no SQLite.
package memory
