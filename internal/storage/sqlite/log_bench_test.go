package sqlite

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/kv"
)

// BenchmarkLogLayout is a commit of 64 random keys of 100 bytes with no log, with
// one record for all of it, and with a row of the log for each key.
func BenchmarkLogLayout(b *testing.B) {
	const batch, keys = 64, 100_000
	for _, layout := range []string{"none", "record", "rows"} {
		b.Run(layout, func(b *testing.B) {
			d := openWith(b, Config{Path: temporary(b), Durability: kv.DurabilityBuffered})
			w := d.Writer()
			random := rand.New(rand.NewPCG(1, 1))
			revision, end := uint64(0), int64(0)
			log := func(first, last uint64, size int) error {
				end += int64(size)
				return w.AppendLog(kv.LogRow{First: first, Last: last, Record: []byte(strings.Repeat("r", size))}, end)
			}
			for b.Loop() {
				if err := w.Begin(); err != nil {
					b.Fatal(err)
				}
				first := revision + 1
				for range batch {
					revision++
					value := strings.Repeat(string(rune('a'+random.IntN(26))), 100)
					err := w.Upsert(kv.Row{Group: "g", Key: fmt.Sprintf("%016x", random.Uint64N(keys)*2654435761), Value: value,
						Deadline: kv.NoDeadline, Revision: revision})
					if err == nil && layout == "rows" {
						err = log(revision, revision, 160)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
				if layout == "record" {
					if err := log(first, revision, batch*120); err != nil {
						b.Fatal(err)
					}
				}
				if err := w.Commit(); err != nil {
					b.Fatal(err)
				}
				if extent, err := w.LogExtent(); err == nil && extent.End-extent.Begin > 64<<20 && layout != "none" {
					b.StopTimer()
					if err := w.Begin(); err != nil {
						b.Fatal(err)
					}
					if err := w.TrimLog(revision - 1); err != nil {
						b.Fatal(err)
					}
					if err := w.Commit(); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
			}
		})
	}
}
