package actorsystem

import (
	"strconv"

	"github.com/asynkron/protoactor-go/actor"
)

// Where an int has 32 bits, Proto.Actor panics at about half of all names: it makes an
// int of a name's hash, which is 32 bits without a sign, and takes its remainder for the
// index of a bucket, which is negative then (SliceMap.GetBucket of version
// v0.0.0-20240822202345-3c0e61ca19c9). With one bucket every index is 0. A bucket has 32
// locks of its own, so that one is no bottleneck.
//
// This file can go once the library takes the remainder of the hash before it makes an
// int of it.

const narrow = strconv.IntSize == 32

// mended returns a registry that is not in use yet, fit for processors of 32 bits.
func mended(registry *actor.ProcessRegistryValue) *actor.ProcessRegistryValue {
	if narrow {
		useOneBucket(registry)
	}
	return registry
}

func useOneBucket(registry *actor.ProcessRegistryValue) {
	buckets := registry.LocalPIDs.LocalPIDs
	for _, bucket := range buckets[1:] {
		if !bucket.IsEmpty() {
			buckets[0].MSet(bucket.Items())
		}
	}
	registry.LocalPIDs.LocalPIDs = buckets[:1:1]
}

// Usable reports whether actors of a store can run in a system that the program has
// made. A system with that defect is not mended here: its actors may be using the buckets at
// this moment, and read the list of them without a lock. The program that makes a system
// can mend it, before anything is spawned in it.
func Usable(system *actor.ActorSystem) bool { return !narrow || oneBucket(system) }

func oneBucket(system *actor.ActorSystem) bool {
	return len(system.ProcessRegistry.LocalPIDs.LocalPIDs) == 1
}
