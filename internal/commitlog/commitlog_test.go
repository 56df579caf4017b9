package commitlog

import (
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

var at = time.Unix(0, 1_700_000_000_123_456_789)

// row is the row that a commit of the events makes.
func row(events []kv.Event) kv.LogRow {
	return kv.LogRow{First: events[0].Revision, Last: events[len(events)-1].Revision,
		At: at.UnixMilli(), Record: Append(nil, at, events)}
}

func sample() []kv.Event {
	return []kv.Event{
		{Type: kv.EventSet, Group: "g", Key: "k", Value: "v", Revision: 7},
		{Type: kv.EventSet, Group: "g", Key: "", Value: "", Revision: 7, ExpiresAt: time.UnixMilli(5)},
		{Type: kv.EventDelete, Group: "g", Key: "\x00\xFF", Revision: 8},
		{Type: kv.EventDeleteGroup, Group: "", Revision: 9},
		{Type: kv.EventExpire, Group: "h", Key: "k", Value: "last", Revision: 9},
		{Type: kv.EventSet, Group: "h", Key: "k", Value: "new", Revision: 9},
	}
}

func TestRoundTrip(t *testing.T) {
	want := sample()
	got, err := Decode(nil, row(want))
	require.NoError(t, err)
	for i := range want {
		want[i].Timestamp = at
	}
	require.Equal(t, want, got)
}

// TestFormat pins the bytes: other versions of go-store must read them.
func TestFormat(t *testing.T) {
	events := []kv.Event{
		{Type: kv.EventSet, Group: "g", Key: "k", Value: "v", Revision: 7, ExpiresAt: time.UnixMilli(258)},
		{Type: kv.EventDelete, Group: "g", Key: "k", Revision: 8},
	}
	record := Append([]byte("before"), time.Unix(0, 3), events)[len("before"):]
	require.Equal(t, strings.Join([]string{
		"01000000", "02000000", "0700000000000000", "0800000000000000", "0300000000000000",
		"20", "0167", "016b", "0176", "0201000000000000",
		"19", "016b",
		hex.EncodeToString(record[len(record)-4:]),
	}, ""), hex.EncodeToString(record))
	require.Equal(t, crc32.Checksum(record[:len(record)-4], castagnoli), binary.LittleEndian.Uint32(record[len(record)-4:]))
}

// TestRandomCommits compares what comes back with what went in.
func TestRandomCommits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		b := make([]byte, random.IntN(300))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return string(b)
	}
	for range 300 {
		revision, group := random.Uint64()>>1, text()
		var want []kv.Event
		for range 1 + random.IntN(40) {
			if len(want) > 0 && random.IntN(2) == 0 {
				revision++
			}
			if random.IntN(3) == 0 {
				group = text()
			}
			e := kv.Event{Type: kv.EventType(random.IntN(4)), Group: group, Revision: revision, Timestamp: at}
			if n := len(want); n > 0 && e.Type == kv.EventDeleteGroup && want[n-1].Type == e.Type && want[n-1].Group == group {
				e.Type = kv.EventSet // no delete of what was just deleted
			}
			if e.Type != kv.EventDeleteGroup {
				e.Key = text()
			}
			if hasValue(e.Type) {
				e.Value = strings.Repeat(text(), 1+random.IntN(20))
			}
			if e.Type == kv.EventSet && random.IntN(2) == 0 {
				e.ExpiresAt = time.UnixMilli(random.Int64N(1 << 45))
			}
			want = append(want, e)
		}
		limit := headerSize + footerSize
		for i := range want {
			limit += Size(&want[i])
		}
		r := row(want)
		require.LessOrEqual(t, len(r.Record), limit)
		got, err := Decode(nil, r)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// TestEveryFlippedBitIsFound: whatever happens to a record, it is an error.
func TestEveryFlippedBitIsFound(t *testing.T) {
	good := row(sample())
	kept := []kv.Event{{Key: "kept"}}
	for bit := range len(good.Record) * 8 {
		bad := good
		bad.Record = append([]byte(nil), good.Record...)
		bad.Record[bit/8] ^= 1 << (bit % 8)
		got, err := Decode(kept, bad)
		var corrupt *kv.CorruptLogError
		require.ErrorAs(t, err, &corrupt, "bit %d", bit)
		require.Equal(t, uint64(7), corrupt.First)
		require.Equal(t, uint64(9), corrupt.Last)
		require.Equal(t, kept, got)
		require.Error(t, Verify(bad))
		require.ErrorAs(t, Check(bad), &corrupt)
	}
	for length := range len(good.Record) {
		bad := good
		bad.Record = good.Record[:length]
		_, err := Decode(nil, bad)
		require.Error(t, err, "cut to %d bytes", length)
	}
}

func TestReasons(t *testing.T) {
	good := row(sample())
	seal := func(change func(record []byte) []byte) kv.LogRow {
		r := good
		body := change(append([]byte(nil), good.Record[:len(good.Record)-footerSize]...))
		r.Record = binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, castagnoli))
		return r
	}
	for name, c := range map[string]struct {
		row  kv.LogRow
		want string
	}{
		"version": {seal(func(b []byte) []byte { b[0] = 9; return b }), "unknown format version 9"},
		"empty":   {kv.LogRow{First: 7, Last: 9}, "only 0 bytes long"},
		"swapped": {kv.LogRow{First: 10, Last: 12, Record: good.Record}, "the revisions 7 to 9"},
		"count":   {seal(func(b []byte) []byte { b[4]++; return b }), errStructure.Error()},
		"tail":    {seal(func(b []byte) []byte { return append(b, 0) }), errStructure.Error()},
		"length":  {seal(func(b []byte) []byte { b[headerSize+1] = 0xFF; return b }), errStructure.Error()},
		"kind":    {seal(func(b []byte) []byte { b[headerSize] = 5; return b }), errStructure.Error()},
		"flags":   {seal(func(b []byte) []byte { b[headerSize] |= 0x40; return b }), errStructure.Error()},
		"twice": {seal(func(b []byte) []byte {
			binary.LittleEndian.PutUint32(b[4:], 8)
			return append(b, byte(kv.EventDeleteGroup)|sameGroup, byte(kv.EventDeleteGroup)|sameGroup)
		}), errStructure.Error()},
		"last": {seal(func(b []byte) []byte { b[16]++; return b }), "the revisions 7 to 10"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decode(nil, c.row)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "WithDiscardedLog")
		})
	}
}

// TestEventsLetGoOfLargeRecords: events of a small record lie in one string, as
// they lay in the record; those of a large one stand alone.
func TestEventsLetGoOfLargeRecords(t *testing.T) {
	for size, together := range map[int]bool{100: true, 2 * sharing: false} {
		events, err := Decode(nil, row([]kv.Event{
			{Group: "g", Key: "large", Value: strings.Repeat("x", size), Revision: 1},
			{Group: "g", Key: "small", Value: "v", Revision: 1},
		}))
		require.NoError(t, err)
		distance := uintptr(unsafe.Pointer(unsafe.StringData(events[1].Key))) -
			uintptr(unsafe.Pointer(unsafe.StringData(events[0].Value)))
		require.Equal(t, together, distance == uintptr(size+2), "%d bytes", size) // flags and length between
	}
}

// forged is a record, with the checksum that it should have, of nothing but the
// smallest effects there are.
func forged(size int, effect ...byte) kv.LogRow {
	body := make([]byte, headerSize, size+len(effect)+footerSize)
	body[0] = version
	binary.LittleEndian.PutUint64(body[8:], 1)
	binary.LittleEndian.PutUint64(body[16:], 1)
	count := 0
	for ; len(body) < size; count++ {
		body = append(body, effect...)
	}
	binary.LittleEndian.PutUint32(body[4:], uint32(count))
	return kv.LogRow{First: 1, Last: 1, Record: binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, castagnoli))}
}

// sealed changes a record and gives it the checksum that it should have.
func sealed(row kv.LogRow, change func(body []byte)) kv.LogRow {
	body := row.Record[:len(row.Record)-footerSize]
	change(body)
	binary.LittleEndian.PutUint32(row.Record[len(body):], crc32.Checksum(body, castagnoli))
	return row
}

// A record that was made to swell costs no more than a part of its size before it is
// refused, and no more than its events where nothing can be said against it.
func TestForgedRecordsDoNotSwell(t *testing.T) {
	const size = 4 << 20
	cost := func(f func()) int64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		return int64(after.TotalAlloc - before.TotalAlloc)
	}
	const deleteGroup, deleteKey = byte(kv.EventDeleteGroup) | sameGroup, byte(kv.EventDelete) | sameGroup
	second := sealed(forged(size, deleteKey, 0), func(b []byte) { b[16] = 2 })
	second.Last = 2
	for name, bad := range map[string]kv.LogRow{
		"groups deleted twice": forged(size, deleteGroup),
		"an end that is bad":   sealed(forged(size, deleteKey, 0), func(b []byte) { b[len(b)-1] = 0xFF }),
		"too few revisions":    second,
		"too many effects":     sealed(forged(size, deleteKey, 0), func(b []byte) { b[7] = 0xFF }),
	} {
		var err error
		require.Less(t, cost(func() { _, err = Decode(nil, bad) }), int64(size/4), name)
		require.ErrorContains(t, err, errStructure.Error(), name)
		require.Less(t, cost(func() { err = Check(bad) }), int64(size/4), name)
		require.ErrorContains(t, err, errStructure.Error(), name)
	}
	good := forged(size, deleteKey, 0)
	var events []kv.Event
	// Under the race detector slices.Grow makes what it appends.
	require.Less(t, cost(func() { events, _ = Decode(nil, good) }), int64(size)*eventSize+2*size)
	require.Len(t, events, (size-headerSize)/2)
	require.Less(t, cost(func() { require.NoError(t, Check(good)) }), int64(size/4))
}

// FuzzDecode: no bytes make it panic, and what it accepts it writes the same.
func FuzzDecode(f *testing.F) {
	f.Add(row(sample()).Record)
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) < headerSize {
			return
		}
		record := binary.LittleEndian.AppendUint32(append([]byte(nil), body...), crc32.Checksum(body, castagnoli))
		r := kv.LogRow{First: binary.LittleEndian.Uint64(record[8:]), Last: binary.LittleEndian.Uint64(record[16:]), Record: record}
		events, err := Decode(nil, r)
		if err != nil || len(events) == 0 {
			return
		}
		again, err := Decode(nil, kv.LogRow{First: r.First, Last: r.Last, Record: Append(nil, events[0].Timestamp, events)})
		require.NoError(t, err)
		require.Equal(t, events, again)
	})
}

func BenchmarkAppend(b *testing.B) {
	events := commit()
	buffer := make([]byte, 0, 64<<10)
	for b.Loop() {
		buffer = Append(buffer[:0], at, events)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
}

func BenchmarkDecode(b *testing.B) {
	events := commit()
	r := row(events)
	decoded := make([]kv.Event, 0, len(events))
	for b.Loop() {
		if _, err := Decode(decoded[:0], r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
}

func commit() (events []kv.Event) {
	for i := range 64 {
		events = append(events, kv.Event{Group: "group", Key: "key", Value: strings.Repeat("v", 100), Revision: uint64(i + 1)})
	}
	return events
}
