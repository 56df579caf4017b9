package ownership

import "os"

// ownerIDs are unknown: a new file inherits its folder's permissions.
func ownerIDs(os.FileInfo) (uid, gid int, ok bool) { return 0, 0, false }

// LinksOf is unknown without opening the file.
func LinksOf(os.FileInfo) int { return 1 }
