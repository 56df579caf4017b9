// Package koanfstore has github.com/knadh/koanf/v2 read its configuration from a go-store:
// from a group, each key a setting, or from one key that holds a document. Changes are told
// as they are committed.
//
//	settings := koanfstore.Provider(store, "config", koanfstore.Options{Delimiter: "."})
//	err := k.Load(settings, nil)
//
// It never writes. A provider that is watched has a goroutine, which ends with Unwatch or
// with the store.
package koanfstore
