package report

import "flag"

var long = flag.Bool("long", false, "tests that go through random programs, or through every case, take all their rounds")

// Rounds is how many rounds a test takes whose strength is not in one of them but in how many
// there were: all with -long (make long); fewer in the short form; and fewer still where the
// race detector makes each cost ten times as much and what it looks for shows in the first ones.
func Rounds(raced, short, all int) int {
	switch {
	case *long:
		return all
	case Raced:
		return raced
	}
	return short
}
