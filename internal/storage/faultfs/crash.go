package faultfs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// shmVersion is how the index of a WAL begins.
var shmVersion = binary.NativeEndian.AppendUint32(nil, 3007000)

// sectorSize is what a disk writes whole or not at all.
const sectorSize = 512

// Player plays power cuts on a recording. It goes forward only: the moments that it is
// asked for must ascend.
type Player struct {
	recording *Recording
	at        int
	now       replay
	marks     []any
}

// Play begins at the beginning.
func (r *Recording) Play() *Player {
	return &Player{recording: r, now: r.initial.clone()}
}

// replay is the state of a folder at a moment: what is safe, and what came after.
type replay struct {
	names  map[string]*name
	inodes map[int]*inode
	locks  map[string][][]byte // all that each -lock has said since it was synced
	kept   map[string]bool     // those that were
	wals   map[string]bool     // databases that had one
}

// name is an entry of a folder.
type name struct {
	durable int // inode; 0: none
	since   []*naming
}

type naming struct {
	inode int
	from  *naming // of a rename: the other name's
	taken bool    // chosen to be there, or something later is
}

// inode is a file's content.
type inode struct {
	durable []byte
	since   []event // writes and truncations
}

func newReplay() replay {
	return replay{make(map[string]*name), make(map[int]*inode), make(map[string][][]byte), make(map[string]bool), make(map[string]bool)}
}

func (s replay) clone() replay {
	c := newReplay()
	for path, n := range s.names {
		c.names[path] = &name{durable: n.durable}
	}
	for number, i := range s.inodes {
		c.inodes[number] = &inode{durable: bytes.Clone(i.durable)}
	}
	maps.Copy(c.locks, s.locks)
	maps.Copy(c.kept, s.kept)
	return c
}

func (s replay) lock(path string, says []byte) { s.locks[path] = append(s.locks[path], says) }

func (s replay) name(path string) *name {
	if s.names[path] == nil {
		s.names[path] = &name{}
	}
	return s.names[path]
}

func (s replay) inode(number int) *inode {
	if s.inodes[number] == nil {
		s.inodes[number] = &inode{}
	}
	return s.inodes[number]
}

// advance goes on to a moment.
func (p *Player) advance(moment int) {
	if moment < p.at {
		panic("a player goes forward only")
	}
	for ; p.at < moment; p.at++ {
		p.step(p.recording.mu.events[p.at])
	}
}

func (p *Player) step(e event) {
	switch e.kind {
	case wrote, truncated:
		i := p.now.inode(e.inode)
		i.since = append(i.since, e)
	case synced:
		i := p.now.inode(e.inode)
		for _, change := range i.since {
			i.durable = apply(i.durable, change, func(int64) bool { return true })
			if change.kind == truncated {
				i.durable = resize(i.durable, change.offset)
			}
		}
		i.since = nil
	case named:
		n := p.now.name(e.path)
		n.since = append(n.since, &naming{inode: e.inode})
		if database, ok := strings.CutSuffix(e.path, "-wal"); ok {
			p.now.wals[database] = true
		}
	case renamed:
		from, to := p.now.name(e.path), p.now.name(e.to)
		arrival := &naming{inode: e.inode}
		to.since = append(to.since, arrival)
		from.since = append(from.since, &naming{from: arrival})
	case syncedFolder:
		for path, n := range p.now.names {
			if filepath.Dir(path) == e.path && len(n.since) > 0 {
				n.durable, n.since = n.since[len(n.since)-1].inode, nil
			}
		}
	case lockSays:
		p.now.lock(e.path, e.data)
	case lockSynced:
		if said := p.now.locks[e.path]; len(said) > 0 {
			p.now.locks[e.path], p.now.kept[e.path] = said[len(said)-1:], true
		}
	case marked:
		p.marks = append(p.marks, e.mark)
	}
}

// apply is a content after a change, in those sectors that it reaches. Truncated
// content keeps its length.
func apply(content []byte, change event, reaches func(sector int64) bool) []byte {
	if change.kind == truncated {
		for at := change.offset; at < int64(len(content)); {
			end := min((at/sectorSize+1)*sectorSize, int64(len(content)))
			if reaches(at / sectorSize) {
				clear(content[at:end])
			}
			at = end
		}
		return content
	}
	if end := change.offset + int64(len(change.data)); end > int64(len(content)) {
		content = resize(content, end)
	}
	for done := int64(0); done < int64(len(change.data)); {
		at := change.offset + done
		n := min((at/sectorSize+1)*sectorSize-at, int64(len(change.data))-done)
		if reaches(at / sectorSize) {
			copy(content[at:], change.data[done:done+n])
		}
		done += n
	}
	return content
}

func resize(content []byte, size int64) []byte {
	if size <= int64(len(content)) {
		return content[:size]
	}
	if size <= int64(cap(content)) {
		n := len(content)
		content = content[:size]
		clear(content[n:])
		return content
	}
	grown := make([]byte, size, size+size/2)
	copy(grown, content)
	return grown
}

// Unsynced is how many changes of files whose names end in suffix are not safe at a moment.
func (p *Player) Unsynced(moment int, suffix string) (changes int) {
	p.advance(moment)
	for path, n := range p.now.names {
		if strings.HasSuffix(path, suffix) {
			for _, inode := range append([]int{n.durable}, inodesOf(n.since)...) {
				changes += len(p.now.inode(inode).since)
			}
		}
	}
	return changes
}

func inodesOf(names []*naming) (inodes []int) {
	for _, n := range names {
		inodes = append(inodes, n.inode)
	}
	return inodes
}

// Crash makes, in a new folder, what a power cut at a moment may leave of the recorded one.
// It says what the program had been told by then.
func (p *Player) Crash(into string, moment int, seed uint64) (marks []any, err error) {
	p.advance(moment)
	chance := chooser{Rand: rand.New(rand.NewPCG(seed, uint64(moment)))}
	chance.style = style(chance.IntN(int(styles)))
	return p.materialise(into, chance)
}

func (p *Player) materialise(into string, chance chooser) (marks []any, err error) {
	chosen := p.names(chance)
	made := make(map[int]string)
	for _, path := range slices.Sorted(maps.Keys(chosen)) {
		relative, err := filepath.Rel(p.recording.folder, path)
		if err != nil {
			return nil, err
		}
		to, number := filepath.Join(into, relative), chosen[path]
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return nil, err
		}
		if first := made[number]; first != "" {
			if err := os.Link(first, to); err != nil {
				return nil, err
			}
			continue
		}
		made[number] = to
		content := p.content(path, number, chance)
		if err := os.WriteFile(to, content, 0o600); err != nil {
			return nil, err
		}
	}
	for _, database := range slices.Sorted(maps.Keys(p.now.wals)) {
		relative, err := filepath.Rel(p.recording.folder, database)
		if err != nil {
			return nil, err
		}
		if index := sharedMemory(chance); index != nil {
			if err := os.WriteFile(filepath.Join(into, relative+"-shm"), index, 0o600); err != nil {
				return nil, fmt.Errorf("%s: %w", database, err)
			}
		}
	}
	return p.marks, nil
}

// style is how much of what is not safe is there.
type style int

const (
	styleNothing style = iota
	styleEverything
	styleLittle
	styleMost
	styleAnything
	styles
)

type chooser struct {
	*rand.Rand
	style style
}

// upTo is how many of n changes have reached the disk.
func (c chooser) upTo(n int) int {
	const few = 20 // one in so many is an exception
	switch {
	case n == 0:
		return 0
	case c.style == styleNothing || c.style == styleLittle && c.IntN(few) > 0:
		return 0
	case c.style == styleEverything || c.style == styleMost && c.IntN(few) > 0:
		return n
	}
	return c.IntN(n + 1)
}

// names chooses what each name leads to. A rename may leave both names behind, but not
// neither.
func (p *Player) names(chance chooser) map[string]int {
	chosen := make(map[string]int)
	for _, path := range slices.Sorted(maps.Keys(p.now.names)) {
		n := p.now.names[path]
		for i := range n.since {
			n.since[i].taken = false
		}
	}
	cuts := make(map[string]int)
	for _, path := range slices.Sorted(maps.Keys(p.now.names)) {
		n := p.now.names[path]
		cuts[path] = chance.upTo(len(n.since))
		for i := range cuts[path] {
			n.since[i].taken = true
		}
	}
	for path, n := range p.now.names {
		for cuts[path] > 0 {
			if from := n.since[cuts[path]-1].from; from == nil || from.taken {
				break
			}
			cuts[path]--
		}
		inode := n.durable
		if cuts[path] > 0 {
			inode = n.since[cuts[path]-1].inode
		}
		if inode != 0 {
			chosen[path] = inode
		}
	}
	return chosen
}

func (p *Player) content(path string, number int, chance chooser) []byte {
	if said := p.now.locks[path]; strings.HasSuffix(path, lockSuffix) {
		if p.now.kept[path] {
			return said[chance.upTo(len(said)-1)]
		}
		if chosen := chance.upTo(len(said)); chosen > 0 {
			return said[chosen-1]
		}
		return nil
	}
	i := p.now.inode(number)
	content := bytes.Clone(i.durable)
	cuts := make(map[int64]int) // by sector: how many of the changes have reached it
	longest := int64(len(content))
	sizes := []int64{longest}
	for n, change := range i.since {
		size := sizes[len(sizes)-1]
		if change.kind == truncated {
			size = change.offset
		} else {
			size = max(size, change.offset+int64(len(change.data)))
		}
		sizes = append(sizes, size)
		longest = max(longest, size)
		for sector := change.offset / sectorSize; sector*sectorSize < change.offset+int64(len(change.data)); sector++ {
			if _, has := cuts[sector]; !has {
				cuts[sector] = n + chance.upTo(len(i.since)-n)
			}
		}
	}
	content = resize(content, longest)
	// A file's length is one number: a truncation has happened, or it has not.
	lengths := chance.upTo(len(i.since))
	for n, change := range i.since {
		content = apply(content, change, func(sector int64) bool {
			return change.kind == truncated && n < lengths || change.kind == wrote && n < cuts[sector]
		})
	}
	return content[:sizes[lengths]]
}

// sharedMemory is what a power cut may leave of a -shm: nothing, or anything that begins as
// such files do.
func sharedMemory(chance chooser) []byte {
	switch chance.IntN(4) {
	case 0:
		return make([]byte, 32<<10)
	case 1:
		index := make([]byte, 32<<10)
		for i := range index {
			index[i] = byte(chance.Uint32())
		}
		copy(index, shmVersion)
		return index
	default:
		return nil
	}
}

// Kill makes, in a folder, what the recorded one holds after a process was killed at the
// end: everything that it has written.
func (p *Player) Kill(into string) error {
	p.advance(len(p.recording.mu.events))
	_, err := p.materialise(into, chooser{Rand: rand.New(rand.NewPCG(0, 0)), style: styleEverything})
	return err
}
