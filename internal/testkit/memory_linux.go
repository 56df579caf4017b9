package testkit

import (
	"os"
	"slices"
	"strings"
	"syscall"
)

// InMemory has temporary files of tests lie in memory, if there is room for them: what a
// disk would do to a file that is synced no test asks for, and there are thousands of syncs.
// Benchmarks measure the disk. TMPDIR, if it is set, is where files lie; make race has them on
// the disk.
func InMemory() {
	const folder, room = "/dev/shm", 2 << 30
	measures := slices.ContainsFunc(os.Args, func(arg string) bool {
		return strings.HasPrefix(strings.TrimLeft(arg, "-"), "test.bench=")
	})
	if os.Getenv("TMPDIR") != "" || measures {
		return
	}
	var is syscall.Statfs_t
	if err := syscall.Statfs(folder, &is); err != nil || uint64(is.Bavail)*uint64(is.Bsize) < room { //nolint:gosec // sizes
		return
	}
	if probe, err := os.MkdirTemp(folder, "probe"); err == nil {
		_ = os.Remove(probe)
		_ = os.Setenv("TMPDIR", folder)
	}
}
