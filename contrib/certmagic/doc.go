// Package certmagicstore keeps the certificates, keys and accounts of
// github.com/caddyserver/certmagic in a go-store, and its locks as leases there.
//
//	certmagic.Default.Storage = certmagicstore.New(store, certmagicstore.Options{})
//
// It owns three groups: one with the values as certmagic has them, by their keys; one with
// the times at which they were written; one with the locks that are held. A lock that is
// held has a goroutine, which renews its lease, and ends with Unlock or with the store.
package certmagicstore
