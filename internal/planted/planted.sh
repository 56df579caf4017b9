#!/bin/sh
# For each line of planted.tsv: with the tag its test fails, without it passes.
# Run from the module's root, as `make planted` does.
set -eu
go=${GO:-go}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
grep -v '^#' internal/planted/planted.tsv | while read -r tag package test; do
	if ! $go test "$package" -run "^$test\$" -count=1 -v >"$log" 2>&1 || ! grep -q "^--- PASS: $test" "$log"; then
		cat "$log"
		echo "$test of $package does not pass without a fault"
		exit 1
	fi
	if $go test -tags "$tag" "$package" -run "^$test\$" -count=1 >"$log" 2>&1 ||
		! grep -q "^ *--- FAIL: $test\|^panic: " "$log" || grep -q '^panic: test timed out' "$log"; then
		cat "$log"
		echo "$tag: NOT caught by $test of $package"
		exit 1
	fi
	echo "$tag: caught by $test of $package"
done
