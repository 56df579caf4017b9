package testkit

import "flag"

// SameDraws has rapid's properties draw the same in each run, so that what passes on one
// machine passes on the next. -rapid.seed=0 has them draw something new, which the long
// forms ask for. It is for a TestMain, which it has parse its flags.
func SameDraws() {
	if flag.Lookup("rapid.seed") != nil {
		_ = flag.Set("rapid.seed", "1")
	}
	flag.Parse()
}
