// Package floor is the disk's floor: the least that any program pays to make a
// write durable. It appends to a file and syncs, and can do nothing else: it
// finds nothing again and orders nothing.
package floor

import (
	"os"
	"path/filepath"

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

// target appends batches of bytes.
type target struct {
	file    *os.File
	sharing *Sharing[byte]
}

func open(folder string, _ bench.Settings) (bench.Target, error) {
	file, err := os.OpenFile(filepath.Join(folder, "append"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &target{file: file, sharing: NewSharing(func(records []byte) error {
		if _, err := file.Write(records); err != nil {
			return err
		}
		return syncData(file)
	})}, nil
}

func (t *target) Set(group, key, value string) error {
	return t.sharing.Write(func(records []byte) []byte {
		return append(append(append(records, group...), key...), value...)
	})
}

func (t *target) Load([]bench.Item) error { return nil } // it has nothing to find again
func (t *target) Close() error            { return t.file.Close() }
