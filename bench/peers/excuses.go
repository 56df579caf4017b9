package main

import "forge.lthn.ai/core/go-store/bench"

const (
	powerCut = "power cut (fsync before the call returns)"
	nothing  = "nothing (in memory)"
)

// excuses are why a plain key-value store can't do what it can't, but for the
// exceptions given.
func excuses(exceptions map[bench.Need]string) map[bench.Need]string {
	all := map[bench.Need]string{
		bench.NeedExpiry:      "no key expires",
		bench.NeedWatch:       "tells nobody of changes",
		bench.NeedSubscribe:   "has no log of changes to follow",
		bench.NeedScope:       "no namespaces, no quotas",
		bench.NeedGroupDelete: "no groups",
		bench.NeedTransaction: "no transactions that read and write",
	}
	for need, why := range exceptions {
		all[need] = why
	}
	return all
}

// join makes one key of a group and a key, in the order of both.
func join(group, key string) []byte {
	joined := make([]byte, 0, len(group)+1+len(key))
	return append(append(append(joined, group...), 0), key...)
}

// beyond is the first key after all of a group.
func beyond(group string) []byte {
	return append([]byte(group), 1)
}
