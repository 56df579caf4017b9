package sqlite

import (
	"errors"
	"os"

	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
)

// disown cuts off what a COMMIT that failed has written. After a sync that failed all of its
// frames may be there, and after the next kill a process would find a transaction that no reader
// has seen since. Where the disk was full the last frame is not there, or
// not whole, as SQLite sees it; but where the WAL has been used before, the bytes that the frame
// lacks may be lying there: a frame of the same page with the same content, at the same place.
// Until it is done nothing else is committed: see ready.
// Call it between transactions.
func (w *fileWriter) disown() (err error) {
	frames, err := w.holdWAL()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.rollbackSQL()) }()
	file, err := ownership.OpenNoFollow(w.file+ownership.WALSuffix, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	end := int64(walHeaderSize) + int64(frames)*(frameHeaderSize+w.pageSize)
	if info.Size() > end {
		if err := disk.Truncate(file, end); err != nil {
			return err
		}
		if err := disk.Sync(file); err != nil {
			return err
		}
	}
	w.leftover = false
	return nil
}
