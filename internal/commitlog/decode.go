package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"time"
	"unsafe"

	"forge.lthn.ai/core/go-store/kv"
)

// sharing is the largest record whose events share its memory: of a larger
// one, an event that a listener keeps would keep too much.
const sharing = 64 << 10

// sharingEach is the most that one event of such a record may take on average: to
// keep the key of a change should not keep its value with it.
const sharingEach = 1 << 10

const (
	eventSize = int64(unsafe.Sizeof(kv.Event{}))
	// swelling is how much larger than a record its events may be without being looked
	// at before: an effect of ours that names a key takes some twenty bytes.
	swelling = 16
)

var errStructure = errors.New("its checksum is right but its structure is not: it was not written by go-store")

// Decode appends the events of a row's record to events. They never share
// memory with the record. Its error is a *kv.CorruptLogError; events is as it
// was then.
func Decode(events []kv.Event, row kv.LogRow) ([]kv.Event, error) {
	decoded, err := decode(events, row)
	if err != nil {
		return events, &kv.CorruptLogError{First: row.First, Last: row.Last, Reason: err.Error()}
	}
	return decoded, nil
}

// Verify checks a row without reading its events. Its error is a
// *kv.CorruptLogError.
func Verify(row kv.LogRow) error {
	if _, err := open(row); err != nil {
		return &kv.CorruptLogError{First: row.First, Last: row.Last, Reason: err.Error()}
	}
	return nil
}

// Check is Verify, and looks at every event by itself. It keeps none. Its error is a
// *kv.CorruptLogError.
func Check(row kv.LogRow) error {
	effects, err := open(row)
	if err == nil {
		err = verifyEffects(effects, row, binary.LittleEndian.Uint32(row.Record[4:]))
	}
	if err != nil {
		return &kv.CorruptLogError{First: row.First, Last: row.Last, Reason: err.Error()}
	}
	return nil
}

// verifyEffects reads what decode will read, in no memory.
func verifyEffects(effects []byte, row kv.LogRow, count uint32) error {
	r := reader{rest: unsafe.String(unsafe.SliceData(effects), len(effects))} // nothing of it is kept
	event := kv.Event{Revision: row.First}
	for range count {
		r.effect(&event)
		if r.bad {
			return errStructure
		}
	}
	if r.rest != "" || event.Revision != row.Last {
		return errStructure
	}
	return nil
}

// Adjoins checks that no revision is missing between two rows. Its error is a
// *kv.CorruptLogError.
func Adjoins(previous, next kv.LogRow) error {
	if next.First == previous.Last+1 {
		return nil
	}
	return &kv.CorruptLogError{First: previous.Last + 1, Last: next.First - 1, Reason: "it is missing"}
}

// Dense checks that no revision is missing between rows, oldest first. Its error
// is a *kv.CorruptLogError.
func Dense(rows []kv.LogRow) error {
	for i := 1; i < len(rows); i++ {
		if err := Adjoins(rows[i-1], rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// open checks everything about a record but its effects, and returns those.
func open(row kv.LogRow) (effects []byte, err error) {
	record := row.Record
	if len(record) > 0 && record[0] != version {
		return nil, fmt.Errorf("unknown format version %d, this go-store knows %d", record[0], version)
	}
	if len(record) < headerSize+footerSize {
		return nil, fmt.Errorf("only %d bytes long", len(record))
	}
	body := record[:len(record)-footerSize]
	want, got := binary.LittleEndian.Uint32(record[len(body):]), crc32.Checksum(body, castagnoli)
	if got != want {
		return nil, fmt.Errorf("checksum mismatch, %08x instead of %08x", got, want)
	}
	first, last := binary.LittleEndian.Uint64(record[8:]), binary.LittleEndian.Uint64(record[16:])
	if first != row.First || last != row.Last {
		return nil, fmt.Errorf("it says that it holds the revisions %d to %d", first, last)
	}
	return body[headerSize:], nil
}

func decode(events []kv.Event, row kv.LogRow) ([]kv.Event, error) {
	r, err := read(row)
	if err != nil {
		return nil, err
	}
	for events = slices.Grow(events, int(r.left)); r.left > 0; {
		if events, err = r.next(events); err != nil {
			return nil, err
		}
	}
	return events, r.end()
}

// Effects is what a row holds, verified. It never changes, and takes as much memory
// as the record, which it shares none with.
type Effects struct{ start Reader }

// Open verifies a row as Decode does. Its error is a *kv.CorruptLogError.
func Open(row kv.LogRow) (*Effects, error) {
	r, err := read(row)
	if err != nil {
		return nil, &kv.CorruptLogError{First: row.First, Last: row.Last, Reason: err.Error()}
	}
	e := &Effects{*r}
	for events := []kv.Event(nil); r.left > 0 && err == nil; {
		events, err = r.next(events[:0])
	}
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return nil, &kv.CorruptLogError{First: row.First, Last: row.Last, Reason: err.Error()}
	}
	return e, nil
}

// Reader is one that begins with the first event.
func (e *Effects) Reader() *Reader {
	r := e.start
	r.of = e
	return &r
}

// Reader takes the events of a record, some at a time.
type Reader struct {
	reader
	event kv.Event // the last one
	left  uint32   // how many are to come
	last  uint64   // the revision of the last of all
	of    *Effects // is alive as long as this is
}

// Next appends at most limit events to those given; none are left if it appends none.
func (r *Reader) Next(events []kv.Event, limit int) []kv.Event {
	for end := len(events) + limit; r.left > 0 && len(events) < end; {
		events, _ = r.next(events) // it was verified
	}
	return events
}

func read(row kv.LogRow) (*Reader, error) {
	effects, err := open(row)
	if err != nil {
		return nil, err
	}
	count := binary.LittleEndian.Uint32(row.Record[4:])
	if int64(count)*eventSize > swelling*int64(len(row.Record)) {
		// Few bytes an effect: what was made to swell is refused before it does.
		if err := verifyEffects(effects, row, count); err != nil {
			return nil, err
		}
	}
	moment := int64(binary.LittleEndian.Uint64(row.Record[24:]))
	at := time.Unix(0, moment)
	if row.Record[1] == inMicros {
		at = time.UnixMicro(moment)
	}
	return &Reader{
		// One copy for all strings of the record, unless that is large for what one keeps.
		reader: reader{rest: string(effects), clone: len(effects) > sharing || uint32(len(effects)/sharingEach) > count},
		event:  kv.Event{Timestamp: at, Revision: row.First},
		left:   count,
		last:   row.Last,
	}, nil
}

func (r *Reader) next(events []kv.Event) ([]kv.Event, error) {
	r.left--
	r.effect(&r.event)
	if r.bad {
		return events, errStructure
	}
	return append(events, r.event), nil
}

// end checks that nothing is left, and nothing missing.
func (r *Reader) end() error {
	if r.rest != "" || r.event.Revision != r.last {
		return errStructure
	}
	return nil
}

// reader takes fields off the front of a record's effects.
type reader struct {
	rest  string
	clone bool
	begun bool // the first effect was read
	bad   bool // the record ended within a field, or a field is impossible
}

// effect reads the effect after previous into the same variable.
func (r *reader) effect(e *kv.Event) {
	flags := r.byte()
	before, group := e.Type, e.Group
	e.Type = kv.EventType(flags & kindMask)
	r.bad = r.bad || e.Type > kv.EventExpire || flags&unused != 0
	if flags&nextRequest != 0 {
		r.bad = r.bad || !r.begun
		e.Revision++
	}
	r.begun = true
	if flags&sameGroup == 0 {
		e.Group = r.text()
	}
	// A group that was just deleted has nothing more to delete.
	r.bad = r.bad || e.Type == kv.EventDeleteGroup && before == kv.EventDeleteGroup && e.Group == group
	e.Key, e.Value, e.ExpiresAt = "", "", time.Time{}
	if e.Type != kv.EventDeleteGroup {
		e.Key = r.text()
	}
	if hasValue(e.Type) {
		e.Value = r.text()
	}
	if flags&hasDeadline != 0 {
		e.ExpiresAt = kv.DeadlineTime(r.int64())
	}
}

func (r *reader) byte() byte {
	if r.rest == "" {
		r.bad = true
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) text() string {
	length, ok := r.uvarint()
	if !ok || length > uint64(len(r.rest)) {
		r.bad = true
		return ""
	}
	text := r.rest[:length]
	r.rest = r.rest[length:]
	if r.clone {
		return strings.Clone(text)
	}
	return text
}

// uvarint is binary.Uvarint for strings.
func (r *reader) uvarint() (n uint64, ok bool) {
	for i := 0; i < len(r.rest) && i < binary.MaxVarintLen64; i++ {
		b := r.rest[i]
		n |= uint64(b&0x7F) << (7 * i)
		if b < 0x80 {
			r.rest = r.rest[i+1:]
			return n, true
		}
	}
	return 0, false
}

func (r *reader) int64() int64 {
	const size = 8
	if len(r.rest) < size {
		r.bad = true
		return 0
	}
	n := binary.LittleEndian.Uint64([]byte(r.rest[:size]))
	r.rest = r.rest[size:]
	return int64(n)
}
