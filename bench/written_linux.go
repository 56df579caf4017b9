package bench

import (
	"bytes"
	"os"
	"strconv"
)

// writtenBytes is what this process has had written to disks so far: pages that it made dirty
// count when they become so, files on a tmpfs don't (proc_pid_io(5), write_bytes).
func writtenBytes() (int64, bool) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, false // some containers hide it
	}
	_, rest, found := bytes.Cut(text, []byte("\nwrite_bytes: "))
	line, _, ended := bytes.Cut(rest, []byte("\n"))
	if !found || !ended {
		return 0, false
	}
	n, err := strconv.ParseInt(string(line), 10, 64)
	return n, err == nil
}
