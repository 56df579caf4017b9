package stress

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// ownFootprint measures this process. /proc is Linux's; elsewhere the system
// does not tell.
func ownFootprint() Footprint {
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	descriptors, _ := os.ReadDir("/proc/self/fd")
	return Footprint{
		Heap:        int64(memory.HeapAlloc),
		Resident:    resident(),
		Goroutines:  int64(runtime.NumGoroutine()),
		Descriptors: int64(len(descriptors)),
	}
}

func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
