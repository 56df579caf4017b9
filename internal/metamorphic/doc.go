// Package metamorphic tries the whole public interface of the store against one
// plain model of it: lists, maps and counting everything each time.
//
// A program is a list of operations, and the options that its stores are opened
// with. rapid draws programs and makes those that fail shorter; what is left is
// printed as a test to be pasted into regressions_test.go. The package owns no code
// outside its tests.
package metamorphic
