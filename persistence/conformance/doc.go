// Package conformance tries out whether a Proto.Actor persistence provider keeps what
// actors rely on. It knows no provider: a test of one calls Run with a way to open it and
// with what it promises.
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, conformance.Options{
//			Open:     open, // func(place string, interval int) (*conformance.Opened, error)
//			Promises: conformance.Everything,
//		})
//	}
//
// Every provider has to replay what the library's own in-memory provider replays: from
// the index of the newest snapshot on, the event with that index included. What goes
// beyond that is a Promise each. Checks of what a provider does not promise are not run,
// and reported as such, each by a test named after it.
//
// Providers that promise SurvivesKill are killed (SIGKILL) after every step of a scripted
// life, within steps, and under the load of many actors. For that the test binary is
// started again: its TestMain has to call Child first.
package conformance
