package sqlite

import (
	"os"
	"syscall"
)

// Flags of sync_file_range(2).
const (
	waitBefore = 1
	writeOut   = 2
	waitAfter  = 4
)

// writeBack has the disk write what lies between from and to, and waits until
// what lies before has been written. Unlike a sync it needs nothing of the file
// system's journal, for which the writers' own syncs would have to wait. It is
// for speed alone: the sync at the end counts.
func writeBack(file *os.File, before, from, to int64) {
	fd := int(file.Fd())
	_ = syscall.SyncFileRange(fd, from, to-from, writeOut)
	if from > before {
		_ = syscall.SyncFileRange(fd, before, from-before, waitBefore|writeOut|waitAfter)
	}
}
