// Package overload holds no code of the store: its tests put more callers on a store
// than its disk can serve, and look at what becomes of them. They stand by themselves
// since the disk of their process is a slow one, for good.
package overload
