// Package cabi speaks to the library's SQLite, which is C translated to Go, the
// way that it speaks to itself: by addresses outside the Go heap, and by functions
// as numbers.
package cabi

import "unsafe"

// At is what lies at an address outside the Go heap.
func At[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// Pointer makes a C function pointer of a function, which must outlive it.
func Pointer[T any](f T) uintptr { return *(*uintptr)(unsafe.Pointer(&struct{ f T }{f})) }

// Call makes a function of a C function pointer.
func Call[T any](pointer uintptr) T { return *(*T)(unsafe.Pointer(&struct{ uintptr }{pointer})) }
