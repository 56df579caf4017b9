// Package api is go-store: a key-value store for one Go process, in one SQLite
// file, with keys in named groups, expiry, quotas, and events for every change.
//
// # What to know first
//
//   - One store owns a file. A second opener gets a [LockedError] that names
//     the owner; [WithReadOnly] opens beside it.
//   - Its file belongs together with the -wal beside it while it is open:
//     copy it with [Store.Backup], not by hand. [Store.Health] says if the files
//     were taken away. See docs/OPERATIONS.md.
//   - A write returns when it is on disk (fsync) and its events are with their
//     watchers. Many goroutines writing at once share commits, so they are far
//     faster together than one alone. [WithDurability] trades safety for speed.
//   - A watcher that does not keep up loses events, and [Watcher.Dropped] says
//     how many.
//   - Strings are bytes: empty ones, NUL and invalid UTF-8 come back as they
//     were written.
//   - Every error begins with the function that failed, as in "store.Get: ",
//     and has a cause for errors.Is or errors.As.
//
// SQLite is built in. Importing this package changes nothing of it for the rest of the
// program.
//
// All methods may be called by any number of goroutines, from callbacks and
// from within loops over the store too.
//
//	store, err := api.New("app.db")
//	if err != nil { … }
//	defer store.Close()
//	err = store.SetWithTTL("sessions", id, token, time.Hour)
//	token, err := store.Get("sessions", id)
package api
