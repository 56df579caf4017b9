package pages

import (
	"encoding/binary"
	"errors"
	"math"
)

// Kind is the type of a value.
type Kind uint8

// What a column can hold.
const (
	Null Kind = iota
	Integer
	Float
	Text
	Blob
	Missing // a column that its table got after the row was written
)

// Value is one column of a row.
type Value struct {
	Kind  Kind
	Int   int64
	Float float64
	Bytes []byte // of a Text or Blob; shared with the row's other values
}

// mostColumns bounds what a record may say that it has.
const mostColumns = 64

var errRecord = errors.New("the record's lengths don't fit together")

// parseRecord reads a payload, which has to be a record and nothing else.
func parseRecord(payload []byte) (values []Value, err error) {
	length, n := Varint(payload)
	if n == 0 || length < uint64(n) || length > uint64(len(payload)) {
		return nil, errRecord
	}
	header, body := payload[n:length], payload[length:]
	for len(header) > 0 {
		serial, n := Varint(header)
		if n == 0 || len(values) == mostColumns {
			return nil, errRecord
		}
		header = header[n:]
		value, size, ok := ParseValue(serial, body)
		if !ok {
			return nil, errRecord
		}
		values, body = append(values, value), body[size:]
	}
	if len(body) > 0 {
		return nil, errRecord
	}
	return values, nil
}

var smallSizes = [...]uint8{0, 1, 2, 3, 4, 6, 8, 8, 0, 0}

// SerialSize is how many bytes a value of a serial type takes. ok is false for those
// that SQLite keeps for itself.
func SerialSize(serial uint64) (size uint64, ok bool) {
	if serial >= 12 {
		return (serial - 12) / 2, true
	}
	if serial >= uint64(len(smallSizes)) {
		return 0, false
	}
	return uint64(smallSizes[serial]), true
}

// ParseValue reads a value of a serial type from the beginning of body, of which it
// takes size bytes. ok is false if there is no such value.
func ParseValue(serial uint64, body []byte) (v Value, size int, ok bool) {
	length, ok := SerialSize(serial)
	if !ok || length > uint64(len(body)) {
		return v, 0, false
	}
	size = int(length)
	switch {
	case serial == 0:
		return v, 0, true
	case serial <= 6 || serial == 8 || serial == 9:
		n, _ := ParseInteger(byte(serial), body)
		return Value{Kind: Integer, Int: n}, size, true
	case serial == 7:
		f := math.Float64frombits(binary.BigEndian.Uint64(body))
		if f != f {
			return v, size, true // as SQLite reads it
		}
		return Value{Kind: Float, Float: f}, size, true
	}
	v.Kind = Blob
	if serial%2 == 1 {
		v.Kind = Text
	}
	v.Bytes = body[:size:size]
	return v, size, true
}

// ParseInteger reads an integer of a serial type from the beginning of body, of which it
// takes size bytes. It is -1 if there is no such integer.
func ParseInteger(serial byte, body []byte) (n int64, size int) {
	switch {
	case serial == 8 || serial == 9:
		return int64(serial - 8), 0
	case serial == 0 || serial > 6 || int(smallSizes[serial]) > len(body):
		return 0, -1
	}
	size = int(smallSizes[serial])
	n = int64(int8(body[0]))
	for _, b := range body[1:size] {
		n = n<<8 | int64(b)
	}
	return n, size
}
