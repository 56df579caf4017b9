// Package planted is faults on purpose: each behind a build tag of its own, each to be
// caught by a test that is named in planted.tsv. A net that no planted fault gets into is
// known to hold; `make planted` shows it for each. In any ordinary build every constant is
// false, and the compiler leaves nothing of what it guards.
package planted
