package persistence

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"
)

// The rows of an actor are in one group, and their keys sort as their indexes do:
//
//	d                   which events were deleted; not there if none
//	e0000000000000005   the event with index 5, in hexadecimal
//	s0000000000000004   the snapshot with index 4
//
// A value is the format's version (1), the CRC-32C of all that tells what it is, little
// endian, and the content. The group of all actors has a row for each type of message:
// its full name, and the import path of the Go package that has it.
const (
	separator = "/" // between the provider's group and the actor's name

	kindDeleted  = 'd'
	kindEvent    = 'e'
	kindSnapshot = 's'

	indexDigits = 16

	formatVersion = 1
	headerSize    = 1 + 4
)

func (p *Provider) groupOf(actor string) string { return p.group + separator + actor }

const deletedKey = string(kindDeleted)

func keyOf(kind byte, index int) string {
	const hex = "0123456789abcdef"
	var key [1 + indexDigits]byte
	key[0] = kind
	for i, rest := indexDigits, uint64(index); i > 0; i, rest = i-1, rest>>4 {
		key[i] = hex[rest&15]
	}
	return string(key[:])
}

// behind is the key that no key of this kind up to and with index reaches.
func behind(kind byte, index int) string {
	if index == math.MaxInt {
		return string([]byte{kind + 1})
	}
	return keyOf(kind, index+1)
}

func indexOf(kind byte, key string) (int, error) {
	if len(key) == 1+indexDigits && key[0] == kind && strings.ToLower(key) == key {
		if index, err := strconv.ParseUint(key[1:], 16, 63); err == nil && index <= math.MaxInt {
			return int(index), nil
		}
	}
	return 0, fmt.Errorf("key %.40q is none of the provider's: %w", key, DamagedRowError)
}

// seal is the value of a row. The content stands in buffer behind headerSize bytes
// that are still to be filled.
func seal(buffer []byte, actor, key string) string {
	buffer[0] = formatVersion
	binary.LittleEndian.PutUint32(buffer[1:], checksum(actor, key, buffer[headerSize:]))
	return string(buffer)
}

// unseal is the content of a row.
func unseal(value, actor, key string) ([]byte, error) {
	switch {
	case len(value) < headerSize || value[0] == 0:
		return nil, fmt.Errorf("no value of the provider's, %d bytes: %w", len(value), DamagedRowError)
	case value[0] > formatVersion:
		return nil, fmt.Errorf("format %d, this version knows those up to %d: %w", value[0], formatVersion, NewerFormatError)
	}
	bytes := []byte(value)
	if binary.LittleEndian.Uint32(bytes[1:]) != checksum(actor, key, bytes[headerSize:]) {
		return nil, fmt.Errorf("its checksum is another: %w", DamagedRowError)
	}
	return bytes[headerSize:], nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum has the row's place in it, so that a row which stands elsewhere is found.
// The key has a length of its own: that of its kind.
func checksum(actor, key string, content []byte) uint32 {
	sum := crc32.Update(0, castagnoli, []byte(key))
	sum = crc32.Update(sum, castagnoli, binary.AppendUvarint(nil, uint64(len(actor))))
	sum = crc32.Update(sum, castagnoli, []byte(actor))
	return crc32.Update(sum, castagnoli, content)
}

// deleted is the row that says which events DeleteEvents has removed.
type deleted struct {
	through  int    // the last one's index; -1: none was
	event    uint64 // its revision, 0 if not known
	revision uint64 // of this row; 0: there is none
}

func (d deleted) value(actor string) string {
	buffer := make([]byte, headerSize, headerSize+2*binary.MaxVarintLen64)
	buffer = binary.AppendUvarint(buffer, uint64(d.through))
	buffer = binary.AppendUvarint(buffer, d.event)
	return seal(buffer, actor, deletedKey)
}

func parseDeleted(value, actor string) (d deleted, err error) {
	content, err := unseal(value, actor, deletedKey)
	if err != nil {
		return d, err
	}
	through, n := binary.Uvarint(content)
	if n <= 0 || through > math.MaxInt {
		return d, fmt.Errorf("no index: %w", DamagedRowError)
	}
	event, m := binary.Uvarint(content[n:])
	if m <= 0 || n+m != len(content) {
		return d, fmt.Errorf("no revision: %w", DamagedRowError)
	}
	return deleted{through: int(through), event: event}, nil
}
