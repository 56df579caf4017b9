package bench

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// DescribeMachine says where a run takes place, so that no reader compares its
// figures with another machine's without knowing. It writes a small file in
// folder, an empty one of the caller's, and syncs it some times; the folder
// above is the one that is named.
func DescribeMachine(folder string) (Machine, error) {
	m := Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Processor: processor(),
		Cores: runtime.GOMAXPROCS(0), Go: runtime.Version(), Folder: filepath.Dir(folder),
	}
	sync, err := syncTime(filepath.Join(folder, "sync"))
	m.SyncNs = float64(sync)
	return m, err
}

// processor is the processor's name where the system tells it in a file.
func processor() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// syncTime is the median time to make 4 KiB at the end of a file durable: every
// durable figure stands on it.
func syncTime(path string) (time.Duration, error) {
	file, err := os.Create(path)
	if err != nil {
		return 0, fmt.Errorf("measure the disk: %w", err)
	}
	defer os.Remove(path)
	defer file.Close()
	page := make([]byte, 4096)
	times := make([]time.Duration, 21)
	for i := range times {
		began := clock()
		if _, err := file.Write(page); err != nil {
			return 0, fmt.Errorf("measure the disk: %w", err)
		}
		if err := file.Sync(); err != nil {
			return 0, fmt.Errorf("measure the disk: %w", err)
		}
		times[i] = time.Duration(clock() - began)
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
