// Package examples holds programs that are built on the store, each in a folder of its
// own; README.md has a line for each. They end by themselves, check what they claim, and
// exit with 1 and a reason if it is not so. The test of this package runs them all.
package examples
