// Package persistence keeps actors of Proto.Actor in a store.
package persistence
