// Package bench is the stress-benchmark harness: it measures stores side by
// side and reports every speed as a ratio of two things measured in one run.
//
// A [Contender] opens a [Target]; a [Workload] says what callers do to it; a
// [Plan] says how long, by how many callers, on which keys; [Run] measures and
// returns a [Result].
//
// How it measures, and why:
//
//   - Rounds of the contenders alternate, A B A B, and a ratio is that of
//     neighbours in time: what else the machine does falls on both sides. What
//     is reported is the median, with the least and the greatest.
//   - A round opens its target, warms it up, measures and closes it. Close is
//     inside the time of a workload that writes, so that work put off is paid
//     for by the store that put it off.
//   - In a closed loop each caller calls again when its call has returned. At a
//     fixed rate ([Plan.Rate]) every latency counts from the moment the call
//     was due, whether or not its caller was free by then: a stall is felt by
//     all the calls it held up (no coordinated omission).
//   - Callers share nothing while they measure. Each has its own random
//     numbers, seeded by [Plan.Seed], and its own histograms, merged afterwards.
//   - The harness measures itself, against a target that does nothing, and
//     says the outcome in the result.
//
// It never compares figures of different runs, never counts an operation that
// failed, and knows no store: adapters live in bench/store, bench/floor and the
// module bench/peers.
package bench
