package ownership

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"os"

	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/kv"
)

// A sidecar is a file beside a database: SQLite overwrites, truncates and removes
// by name whatever stands there, and so would we with the lock. So before anything
// is done each has to prove to be one: a regular file under its own name that is
// empty or begins as such files do. Everything else is another program's, and stays.

// What such files begin with. The index of the WAL begins with its version in the
// machine's byte order; it is three bytes long after its first opener died early.
var (
	walMagics    = [][]byte{{0x37, 0x7f, 0x06, 0x82}, {0x37, 0x7f, 0x06, 0x83}}
	JournalMagic = []byte{0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7}
	shmVersion   = binary.NativeEndian.AppendUint32(nil, 3007000)
)

// CheckSidecars refuses sidecars that don't prove to be the store's.
func CheckSidecars(database string) error {
	for _, suffix := range []string{WALSuffix, SHMSuffix, JournalSuffix} {
		begin, err := ReadSidecar(database+suffix, 32)
		if err != nil {
			return err
		}
		if !ProvesToBe(suffix, begin) {
			return fmt.Errorf("%s%s is no file that a store has left, and would be overwritten: move it away: %w",
				database, suffix, kv.ForeignFileError)
		}
	}
	return nil
}

// ProvesToBe reports whether a file that begins so is a sidecar of that kind.
func ProvesToBe(suffix string, begin []byte) bool {
	if IsZero(begin) {
		return true // empty, or what a crash leaves of a file that was about to be written
	}
	switch suffix {
	case WALSuffix:
		return bytes.HasPrefix(begin, walMagics[0]) || bytes.HasPrefix(begin, walMagics[1])
	case JournalSuffix:
		// Until a transaction's journal is synced, zeros stand for its magic and the number
		// of its records, or for what is left of the two after a write that was cut short.
		written := min(len(begin), len(JournalMagic))
		for written > 0 && !bytes.HasPrefix(begin, JournalMagic[:written]) {
			written--
		}
		begun := len(begin) >= 28 && IsZero(begin[written:12]) && isPowerOfTwo(begin[20:]) && isPowerOfTwo(begin[24:])
		return bytes.HasPrefix(begin, JournalMagic) || begun
	default:
		// SQLite cuts it to three bytes before it makes it anew, its version last.
		version := begin[:min(len(begin), len(shmVersion))]
		return bytes.HasPrefix(shmVersion, version) || IsZero(version)
	}
}

func IsZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

func isPowerOfTwo(b []byte) bool { return bits.OnesCount32(binary.BigEndian.Uint32(b)) == 1 }

// ReadSidecar is how a sidecar begins, empty if there is none. A sidecar that is a link,
// or no file, is an error. (Reading a -shm closes a descriptor of it, which drops
// the process's locks on that file: see sharedMemory.)
func ReadSidecar(path string, n int) ([]byte, error) {
	info, err := disk.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is a %s, not a file: remove it, or see what it is for: %w",
			path, kindOf(info.Mode()), kv.ForeignFileError)
	}
	if isSharedMemory(path) && InUseHere(path) {
		return nil, nil // by a store of this process, which has looked
	}
	file, err := OpenNoFollow(path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // gone in between
	}
	if err != nil {
		return nil, err
	}
	begin := make([]byte, n)
	n, err = io.ReadFull(disk.Reader(file), begin)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return begin[:n], errors.Join(err, file.Close())
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return "symbolic link"
	case mode.IsDir():
		return "folder"
	default:
		return "special file"
	}
}
