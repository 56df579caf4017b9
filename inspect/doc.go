// Package inspect shows what a store holds and does, in a browser and to programs: an
// http.Handler with a page, with the store's keys under v1/, and with a stream of their
// changes.
//
// It owns no data and no connection of its own: all of it is the store's public API. It
// is a window of the program that mounts it, not a database server: it has no users, no
// transactions, and no other limits than those that keep the program alive.
//
// As it is mounted it answers only callers on the same machine, by the names of its
// loopback interface, and changes nothing. What else it is to do is said by options:
// WithToken, WithHosts, WithRemote, WithWrites. What a browser sends on behalf of
// another site is refused in any case.
//
//	mux.Handle("/inspect/", http.StripPrefix("/inspect", inspect.Handler(store)))
//
// The routes are in openapi.yaml, which the handler serves too; docs/INSPECTOR.md has
// more.
package inspect
