// Package scsstore keeps the sessions of github.com/alexedwards/scs/v2 in a group of a
// go-store: a row for each session, which expires with it.
//
//	sessions := scs.New()
//	sessions.Store = scsstore.New(store, "sessions")
//
// It owns no goroutine and no state: there is nothing to close but the store. Expired
// sessions are removed by the store itself.
package scsstore
