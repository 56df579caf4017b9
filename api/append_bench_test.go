//go:build linux

package api_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// BenchmarkRatio_Append compares one durable Set with the least that any
// program pays to make the same bytes durable: one write to the end of a
// growing file and one fdatasync.
func BenchmarkRatio_Append(b *testing.B) {
	keys := benchKeys(scaled(manyKeys))
	store := openBench(b, benchDesigns[0], "", keys)
	file, err := os.OpenFile(filepath.Join(b.TempDir(), "append"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	descriptor := int(file.Fd())
	record := make([]byte, 0, 4096)
	ratio(b, "at most 2",
		side{"store", func() measurement { return hammer(b, 1, setRandom(store, keys)) }},
		side{"append", func() measurement {
			return hammer(b, 1, func(caller *benchCaller) (int, error) {
				record = append(record[:0], benchGroup...)
				record = append(record, pick(caller.random, keys)...)
				record = append(record, benchValue(caller.random)...)
				if _, err := file.Write(record); err != nil {
					return 0, err
				}
				return 1, syscall.Fdatasync(descriptor)
			})
		}})
}
