package moment

import (
	"encoding/binary"
	"errors"

	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/internal/storage/frames"
	"forge.lthn.ai/core/go-store/internal/storage/mapped"
	"forge.lthn.ai/core/go-store/internal/storage/pages"
)

// Source follows what is committed to a database. One goroutine at a time uses it, and
// changes its fields.
type Source struct {
	Index         *Index // nil: nothing ever changes
	Database, WAL mapped.File
	Generation    uint32        // of the WAL
	Cache         *frames.Cache // of what Pages since it was made have read; nil: Begin makes one

	frames  *frames.Index
	salts   [8]byte // of the generation
	indexed uint32  // frames of it that are in frames
}

// NewSource is one of a database, with room for so many frames to begin with. Index, and the
// WAL's file, may be given later, before Begin.
func NewSource(index *Index, database, wal mapped.File, room int) Source {
	return Source{Index: index, Database: database, WAL: wal, Generation: 1, frames: frames.New(room)}
}

var (
	// BusyError says that a commit is under way: the next look may do.
	BusyError = errors.New("the index of the WAL is being written")
	// RestartedError says that the WAL has begun anew under a moment.
	RestartedError = errors.New("the WAL has begun anew under a view")
)

// Begin is the pages of no moment yet: Advance brings them to one.
func (s *Source) Begin(size int) Pages {
	if s.Cache == nil {
		s.Cache = frames.NewCache(size)
	}
	return Pages{Size: size, frames: s.frames, Cache: s.Cache}
}

// Still is the pages of a database without a WAL, of which no writer changes anything.
func (s *Source) Still(size int, count uint32) (p Pages, err error) {
	p = Pages{Size: size, Count: count, frames: s.frames, Cache: frames.NewCache(size)}
	p.database, err = s.extent()
	return p, err
}

// Advance brings pages to what is committed. anew: they are of a read transaction that was
// begun just now, and all of the WAL may be in the database. Not changed: they were there
// already. It may fault: see OnFault.
//
// Errors: UnreadError, BusyError, RestartedError, and those of the disk. Then pages are of no
// moment.
func (s *Source) Advance(p *Pages, anew bool) (changed bool, err error) {
	state, ok := s.Index.State()
	if !ok {
		return false, BusyError
	}
	if state.Change == p.Change && !anew {
		return false, nil
	}
	if state.salts != s.salts {
		s.salts, s.indexed = state.salts, 0
		if !planted.FramesStale {
			s.Generation++
		}
	}
	if err := s.take(state, p.Size); err != nil {
		return false, err
	}
	p.Change, p.Generation, p.Last, p.UpTo, p.Count = state.Change, s.Generation, s.indexed, s.indexed, state.Pages
	p.wal = s.WAL.UpTo(0)
	if anew {
		if err := s.place(p, state); err != nil {
			return false, err
		}
	}
	return true, nil
}

// place says where the pages of a new transaction lie. If all of the WAL is in the
// database they are there, as the transaction does not keep the WAL from beginning anew then. It
// may do so at this very moment: then the header has other salts before the count of frames
// that were moved is 0 again (see SQLite's walRestartHdr), so it is looked at after that.
// And a checkpoint that moves the last of it makes the database longer first, which is measured last.
func (s *Source) place(p *Pages, state State) (err error) {
	moved, read := s.Index.Backfilled()
	again, ok := s.Index.State()
	if !planted.RestartUnseen && (!read || !ok || again.salts != state.salts) {
		return BusyError
	}
	if moved >= state.Frames {
		p.Last = 0
	}
	p.database, err = s.extent()
	return err
}

// take adds the frames that were committed since, with pages of so many bytes.
func (s *Source) take(state State, size int) error {
	frameSize := int64(pages.FrameHeaderSize + size)
	const together = 16 // a call costs as much as the pages between
	for s.indexed < state.Frames {
		n := min(together, state.Frames-s.indexed)
		part, err := s.WAL.Part(pages.WALHeaderSize+int64(s.indexed)*frameSize, int(n-1)*int(frameSize)+pages.FrameHeaderSize)
		if err != nil {
			return err
		}
		for i := range int64(n) {
			frame := part[i*frameSize:]
			if [8]byte(frame[8:16]) != state.salts {
				return RestartedError
			}
			s.indexed++
			if page := binary.BigEndian.Uint32(frame); page != 0 && page <= state.Pages {
				s.frames.Add(page, s.indexed, s.Generation)
			}
		}
	}
	return nil
}

// extent is the database as long as it is now.
func (s *Source) extent() (x mapped.Extent, err error) {
	info, err := s.Database.File.Stat()
	if err != nil {
		return x, err
	}
	x = s.Database.UpTo(info.Size())
	x.Memory = x.Memory[:min(info.Size(), int64(len(x.Memory)))]
	return x, nil
}
