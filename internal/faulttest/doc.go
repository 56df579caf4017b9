// Package faulttest is tests of the whole store, as programs use it, on a file system that
// fails (faultfs): power cuts at any moment, and any call failing. They have a binary of
// their own, because such a file system is every store's in it.
package faulttest
