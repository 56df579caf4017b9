package faultfs

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/disk"
)

const lockSuffix = "-lock"

// Recording is everything that was asked of the file system in one folder and below it, in
// the order in which it was done, and what the program was told in between (Mark).
//
// The -lock file is written through a mapping, past the file system: what it says is looked
// at with every event, and what it has said since it was synced may come back. The -shm is not written down at all: SQLite makes it anew when
// no process has it open, as after a power cut.
type Recording struct {
	folder string
	mu     struct {
		sync.Mutex
		ended  bool
		events []event
		names  map[string]int // what each name leads to
		disk   map[*os.File]int
		inodes int
		locks  map[string][]byte // what each -lock said last
	}
	initial replay
	live    *Player // plays every event at once, instead of its being kept; nil: they are kept
}

type eventKind int

const (
	wrote eventKind = iota
	truncated
	synced
	named   // a name leads to an inode, or to none (0)
	renamed // a name leads to what another led to, which leads to nothing
	syncedFolder
	lockSays
	lockSynced
	marked
)

type event struct {
	kind     eventKind
	inode    int
	path, to string
	offset   int64 // or size
	data     []byte
	mark     any
}

// recording is nil while nothing is written down.
var recording atomic.Pointer[Recording]

// Record writes down what is done in a folder, in which nothing may be open, until the test
// or Stop ends it. What is there counts as synced.
func Record(t testing.TB, folder string) *Recording {
	t.Helper()
	if !installed.Load() {
		t.Fatal("faultfs is not installed: call faultfs.Install in TestMain")
	}
	r, err := newRecording(folder)
	if err != nil {
		t.Fatal(err)
	}
	if !recording.CompareAndSwap(nil, r) {
		t.Fatal("there is a recording already")
	}
	t.Cleanup(r.Stop)
	return r
}

// newRecording takes down what is in a folder.
func newRecording(folder string) (*Recording, error) {
	folder, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return nil, err
	}
	r := &Recording{folder: folder}
	r.mu.names, r.mu.disk, r.mu.locks = make(map[string]int), make(map[*os.File]int), make(map[string][]byte)
	r.initial = newReplay()
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, "-shm") {
			return err
		}
		content, err := os.ReadFile(path)
		r.mu.inodes++
		r.mu.names[path] = r.mu.inodes
		r.initial.names[path] = &name{durable: r.mu.inodes}
		r.initial.inodes[r.mu.inodes] = &inode{durable: content}
		if strings.HasSuffix(path, lockSuffix) {
			r.initial.lock(path, content)
			r.initial.kept[path] = true
		}
		return err
	})
	return r, err
}

// Stop ends the recording, which may then be played.
func (r *Recording) Stop() {
	recording.CompareAndSwap(r, nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.ended = true
}

// Mark writes down what the program was told just now.
func (r *Recording) Mark(what any) {
	defer r.begin()()
	r.add(event{kind: marked, mark: what})
}

// Len is how many events there are.
func (r *Recording) Len() int { return len(r.mu.events) }

// Moments is the moments before and after something was synced, renamed or told. A power cut
// at moment n comes after the first n events.
func (r *Recording) Moments() (moments []int) {
	for i, e := range r.mu.events {
		if e.kind == synced || e.kind == syncedFolder || e.kind == marked || e.kind == renamed {
			moments = append(moments, i, i+1)
		}
	}
	return slices.Compact(append(moments, len(r.mu.events)))
}

// Marks is the moments right after each mark.
func (r *Recording) Marks() (moments []int) {
	for i, e := range r.mu.events {
		if e.kind == marked {
			moments = append(moments, i+1)
		}
	}
	return moments
}

func recordingOf(path string) *Recording {
	if r := recording.Load(); r != nil && within(path, r.folder) {
		return r
	}
	if f := folderOf(path); f != nil {
		return f.recording.Load()
	}
	return nil
}

// within reports whether a path is a folder or below it.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+string(filepath.Separator))
}

// syncs reports whether what is to be synced is, on this machine's disk.
func (r *Recording) syncs() bool { return !noSyncs.Load() && (r == nil || r.live == nil) }

// begin has what is done until end be one step of the recording.
func (r *Recording) begin() (end func()) {
	if r == nil {
		return func() {}
	}
	r.mu.Lock()
	return r.mu.Unlock
}

// All below is called between begin and end.

func (r *Recording) add(e event) {
	if r.mu.ended {
		return
	}
	for path := range r.mu.names {
		if !strings.HasSuffix(path, lockSuffix) {
			continue
		}
		if content, err := os.ReadFile(path); err == nil && !bytes.Equal(content, r.mu.locks[path]) {
			r.mu.locks[path] = content
			r.happened(event{kind: lockSays, path: path, data: content})
		}
	}
	r.happened(e)
}

func (r *Recording) happened(e event) {
	if r.live != nil {
		r.live.step(e)
		return
	}
	r.mu.events = append(r.mu.events, e)
}

func (r *Recording) opened(path string, cut bool) (inode int) {
	inode = r.mu.names[path]
	if inode == 0 {
		r.mu.inodes++
		inode = r.mu.inodes
		r.mu.names[path] = inode
		r.add(event{kind: named, path: path, inode: inode})
	} else if cut {
		r.truncated(inode, 0)
	}
	return inode
}

func (r *Recording) wrote(inode int, data []byte, offset int64) {
	r.add(event{kind: wrote, inode: inode, data: bytes.Clone(data), offset: offset})
}

func (r *Recording) truncated(inode int, size int64) {
	r.add(event{kind: truncated, inode: inode, offset: size})
}

func (r *Recording) synced(inode int) {
	r.add(event{kind: synced, inode: inode})
	for path, of := range r.mu.names {
		if of == inode && strings.HasSuffix(path, lockSuffix) {
			r.add(event{kind: lockSynced, path: path})
		}
	}
}

func (r *Recording) syncedFolder(path string) { r.add(event{kind: syncedFolder, path: path}) }

func (r *Recording) removed(path string) {
	delete(r.mu.names, path)
	r.add(event{kind: named, path: path})
}

func (r *Recording) inodeOf(file *os.File) int { return r.mu.disk[file] }

// called is what the store did by itself.
func (r *Recording) called(c *disk.Call) {
	switch c.Name {
	case "open":
		r.mu.disk[c.File] = r.opened(c.Path, c.Flags&os.O_TRUNC != 0)
	case "write":
		r.wrote(r.inodeOf(c.File), c.Data, c.Offset)
	case "truncate":
		r.truncated(r.inodeOf(c.File), c.Size)
	case "sync":
		r.synced(r.inodeOf(c.File))
	case "syncfolder":
		r.syncedFolder(c.Path)
	case "remove":
		r.removed(c.Path)
	case "removeall":
		for path := range r.mu.names {
			if path == c.Path || strings.HasPrefix(path, c.Path+string(filepath.Separator)) {
				r.removed(path)
			}
		}
	case "rename":
		r.mu.names[c.To] = r.mu.names[c.Path]
		delete(r.mu.names, c.Path)
		r.add(event{kind: renamed, path: c.Path, to: c.To, inode: r.mu.names[c.To]})
	case "link":
		r.mu.names[c.To] = r.mu.names[c.Path]
		r.add(event{kind: named, path: c.To, inode: r.mu.names[c.To]})
	}
}
