// Package floor is the disk's floor: the least that any program pays to make a
// write durable. It appends to a file and syncs, and can do nothing else: it
// finds nothing again and orders nothing.
package floor

import (
	"os"
	"path/filepath"
	"sync"

	"forge.lthn.ai/core/go-store/bench"
)

// Contender appends each write to a growing file and syncs it with fdatasync
// (where there is none, fsync) before the call returns. Writes that arrive
// during a sync share the next one.
func Contender() bench.Contender {
	const why = "only appends to a file"
	return bench.Contender{
		Name:       "append",
		Durability: "power cut (fdatasync before the call returns)",
		Note:       "the disk's floor: an append to a file, shared by the callers that wait",
		Open:       open,
		Excuses: map[bench.Need]string{
			bench.NeedGet: why, bench.NeedDelete: why, bench.NeedGetAll: why, bench.NeedPage: why, bench.NeedScan: why,
			bench.NeedGroupDelete: why, bench.NeedExpiry: why, bench.NeedWatch: why, bench.NeedSubscribe: why,
			bench.NeedScope: why, bench.NeedTransaction: why,
		},
	}
}

// target lets the first caller of a batch write it and sync; the others wait.
type target struct {
	file *os.File
	mu   struct {
		sync.Mutex
		next    *batch // gathers writes
		writing bool   // a caller is writing the batch before
	}
}

// batch is what one sync makes durable.
type batch struct {
	records []byte
	lead    chan struct{} // has one of the batch's callers write it
	done    chan struct{} // closed once err is set
	err     error
}

func newBatch() *batch { return &batch{lead: make(chan struct{}, 1), done: make(chan struct{})} }

func open(folder string, _ bench.Settings) (bench.Target, error) {
	file, err := os.OpenFile(filepath.Join(folder, "append"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	t := &target{file: file}
	t.mu.next = newBatch()
	return t, nil
}

func (t *target) Set(group, key, value string) error {
	t.mu.Lock()
	b := t.mu.next
	b.records = append(append(append(b.records, group...), key...), value...)
	leads := !t.mu.writing
	t.mu.writing = true
	t.mu.Unlock()
	if !leads {
		select {
		case <-b.done:
			return b.err
		case <-b.lead:
		}
	}
	return t.write(b)
}

// write makes a batch durable and has a caller of the next one go on.
func (t *target) write(b *batch) error {
	t.mu.Lock()
	next := newBatch()
	t.mu.next = next
	t.mu.Unlock()

	if _, b.err = t.file.Write(b.records); b.err == nil {
		b.err = syncData(t.file)
	}
	close(b.done)

	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.writing = len(next.records) > 0; t.mu.writing {
		next.lead <- struct{}{}
	}
	return b.err
}

func (t *target) Load([]bench.Item) error { return nil } // it has nothing to find again
func (t *target) Close() error            { return t.file.Close() }
