// Package kv is the vocabulary that every other package of go-store speaks:
// rows, mutations, events, commits, usage and errors.
//
// It imports only the standard library, holds no state and starts nothing.
package kv
