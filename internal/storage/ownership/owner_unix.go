//go:build unix

package ownership

import (
	"os"
	"syscall"
)

// ownerIDs are a file's owner and group.
func ownerIDs(info os.FileInfo) (uid, gid int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(stat.Uid), int(stat.Gid), true
}

// LinksOf is how many names a file has.
func LinksOf(info os.FileInfo) int {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 1
	}
	return int(stat.Nlink)
}
