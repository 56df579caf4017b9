package sqlite

import (
	"os"

	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/internal/storage/disk"
)

// version names what page n of the view holds, which lies in that frame, or in the
// database if it is 0. Not ok: it can't be told any more, as the page was written again
// since.
func (v *view) version(n, frame uint32) (version uint64, ok bool) {
	version = uint64(v.generation)<<32 | uint64(frame)
	if frame == 0 {
		version = v.frames.Latest(n)
		if generation := uint32(version >> 32); generation > v.generation ||
			generation == v.generation && uint32(version) > v.upTo {
			return 0, false
		}
	}
	if planted.PageNamedByFrame {
		version = uint64(uint32(version))
	}
	return version, true
}

// read is page n, from a file that is not mapped.
func (v *view) read(n, frame uint32, file *os.File, at int64) ([]byte, error) {
	version, named := v.version(n, frame)
	if named {
		if page := v.cache.Find(n, version); page != nil {
			return page, nil
		}
	}
	page := make([]byte, v.shape.pageSize)
	if n, _ := disk.ReadAt(file, page, at); n < len(page) {
		return nil, errUnread
	}
	if named {
		v.cache.Add(n, version, page)
	}
	return page, nil
}
