// Package stress puts every load on a store at the same time and judges all
// that the store answers: reads, counts, scans, refusals, events.
//
// What it knows comes from calls that returned, never from the store itself.
// Each rule is sound: a store that keeps its promises can't break it, whatever
// the schedule, so every finding is a defect (docs/adr/0022). It owns the model
// of each caller and the verdict. It never opens a database's file itself, and
// it never reaches a store but through [Target], so that tests can put a store
// that is broken on purpose in its place.
package stress
