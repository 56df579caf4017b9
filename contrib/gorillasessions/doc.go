// Package gorillasessions keeps the sessions of github.com/gorilla/sessions in a group of a
// go-store: a row for each session, which expires with it. The browser has only the
// session's number, signed.
//
//	sessions := gorillasessions.New(store, "sessions", []byte(os.Getenv("SESSION_KEY")))
//
// It owns no goroutine and no state: there is nothing to close but the store.
package gorillasessions
