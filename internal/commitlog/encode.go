package commitlog

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"forge.lthn.ai/core/go-store/kv"
)

const (
	version = 1

	// Units of the time.
	inNanos    = 0
	inMicros   = 1
	headerSize = 32
	footerSize = 4

	kindMask    = 0x07
	nextRequest = 0x08
	sameGroup   = 0x10
	hasDeadline = 0x20
	unused      = 0xC0
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Size is an upper bound of what an event adds to a record.
func Size(e *kv.Event) int {
	return 1 + 3*binary.MaxVarintLen32 + len(e.Group) + len(e.Key) + len(e.Value) + 8
}

// Append appends the record of one commit to buffer: the events that it made,
// in their order, with revisions that begin at that of the first event and
// leave none out. There must be at least one.
func Append(buffer []byte, at time.Time, events []kv.Event) []byte {
	start := len(buffer)
	first, last := events[0].Revision, events[len(events)-1].Revision
	unit, moment := unitOf(at)
	buffer = append(buffer, version, unit, 0, 0)
	buffer = binary.LittleEndian.AppendUint32(buffer, uint32(len(events)))
	buffer = binary.LittleEndian.AppendUint64(buffer, first)
	buffer = binary.LittleEndian.AppendUint64(buffer, last)
	buffer = binary.LittleEndian.AppendUint64(buffer, uint64(moment))
	var previous *kv.Event
	for i := range events {
		buffer = appendEffect(buffer, &events[i], previous)
		previous = &events[i]
	}
	return binary.LittleEndian.AppendUint32(buffer, crc32.Checksum(buffer[start:], castagnoli))
}

// unitOf is the unit that can tell a time, and the time in it.
func unitOf(at time.Time) (unit byte, moment int64) {
	if nanos := at.UnixNano(); time.Unix(0, nanos).Equal(at) {
		return inNanos, nanos
	}
	return inMicros, at.UnixMicro()
}

func appendEffect(buffer []byte, e, previous *kv.Event) []byte {
	flags := byte(e.Type) & kindMask
	if previous != nil && e.Revision != previous.Revision {
		flags |= nextRequest
	}
	if previous != nil && e.Group == previous.Group {
		flags |= sameGroup
	}
	if !e.ExpiresAt.IsZero() {
		flags |= hasDeadline
	}
	buffer = append(buffer, flags)
	if flags&sameGroup == 0 {
		buffer = appendText(buffer, e.Group)
	}
	if e.Type != kv.EventDeleteGroup {
		buffer = appendText(buffer, e.Key)
	}
	if hasValue(e.Type) {
		buffer = appendText(buffer, e.Value)
	}
	if flags&hasDeadline != 0 {
		buffer = binary.LittleEndian.AppendUint64(buffer, uint64(e.ExpiresAt.UnixMilli()))
	}
	return buffer
}

func hasValue(t kv.EventType) bool { return t == kv.EventSet || t == kv.EventExpire }

func appendText(buffer []byte, text string) []byte {
	return append(binary.AppendUvarint(buffer, uint64(len(text))), text...)
}
