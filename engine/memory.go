package engine

import (
	"math"
	"runtime/debug"
	"sync"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	cacheShare    = 8        // of the memory that the process may use
	largestCache  = 64 << 20 // bytes, by default
	smallestCache = 64 << 10 // the same
)

// defaultReadCache is an eighth of what the process may use, or 64 MiB if that is less.
func defaultReadCache() int {
	limit := min(uint64(debug.SetMemoryLimit(-1)), machineMemory())
	return int(max(min(limit/cacheShare, largestCache), smallestCache))
}

// machineMemory is what the process's control group, or else the machine, lets it have.
// It is asked for once: that takes some files, and a store is to open quickly.
var machineMemory = sync.OnceValue(func() uint64 {
	least := uint64(math.MaxUint64)
	for _, ask := range []memlimit.Provider{memlimit.FromCgroup, memlimit.FromSystem} {
		if limit, err := ask(); err == nil && limit > 0 {
			least = min(least, limit)
		}
	}
	return least
})
