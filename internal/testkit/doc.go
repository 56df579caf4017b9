// Package testkit is what the tests of several packages share: a clock that
// stands still, faults at named steps, a model of what a store must hold, and
// a watchdog that shows where a test hangs.
//
// Only tests import it. It never ends a test from another goroutine than the
// test's own.
package testkit
