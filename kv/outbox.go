package kv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// The groups that the store itself writes begin with a NUL byte, which no namespace's
// do. Their rows are ordinary ones: whatever holds for rows holds for them.
const (
	// OutboxPrefix and an address are the group of the messages to that address. Their
	// keys are MessageIDs: the order of the keys is the order of the commits.
	OutboxPrefix = "\x00outbox:"
	// DeadPrefix and an address are the group of those that were given up.
	DeadPrefix = "\x00outbox-dead:"
	// TimersPrefix and a group are the group of the timers of that group's keys. A
	// timer's key is TimerKey of its key's, its value the address.
	TimersPrefix = "\x00timers:"
)

const (
	// MaxAddress is how many bytes an address has at most, namespace included.
	MaxAddress = 1024
	// ReservedRoom is how much larger than its limit a group, key or value of the
	// store's own groups may be: what stands before a user's own, and a reason.
	ReservedRoom = 4096
)

// Reserved reports whether a group is the store's own.
func Reserved(group string) bool {
	return group != "" && group[0] == 0 &&
		(strings.HasPrefix(group, OutboxPrefix) || strings.HasPrefix(group, DeadPrefix) || IsTimers(group))
}

// IsTimers reports whether a group holds timers.
func IsTimers(group string) bool { return strings.HasPrefix(group, TimersPrefix) }

// CheckAddress refuses what can't be the address of a message with an
// InvalidAddressError.
func CheckAddress(address string) error {
	switch {
	case address == "":
		return fmt.Errorf("an empty address: name the receiver: %w", InvalidAddressError)
	case len(address) > MaxAddress:
		return fmt.Errorf("an address of %d bytes, limit %d, namespace included: %w", len(address), MaxAddress, InvalidAddressError)
	case strings.IndexByte(address, 0) >= 0:
		return fmt.Errorf("address %q: one with a NUL byte is reserved: %w", address, InvalidAddressError)
	default:
		return nil
	}
}

// AddressWithin is an address with what comes before it in a namespace. An empty one
// stays empty, and is refused.
func AddressWithin(prefix, address string) string {
	if address == "" {
		return ""
	}
	return prefix + address
}

// MessageID is the id of a request's n-th message. The identity is a random number of
// the store's owner: a store that takes in another one's messages, or is a copy
// of it, makes none that those had, whatever their revisions.
func MessageID(revision uint64, number uint32, identity uint64) string {
	return fmt.Sprintf("%016x%08x%016x", revision, number, identity)
}

// TimerKey is the key of a key's timer: the deadline is part of it, so that a timer is
// of use to the row with that deadline only, and that those which expire together lie
// together.
func TimerKey(deadline int64, key string) string {
	return fmt.Sprintf("%016x", uint64(deadline)^1<<63) + key
}

// Message is what a row of the outbox says: the payload of a Tell, or what has Expired.
type Message struct {
	At      int64 // when it was committed, Unix milliseconds
	Payload string
	Expired *Expired // not nil: a timer's message
}

// Expired is a key that has expired.
type Expired struct {
	Group, Key string
	Value      string // its last
	ExpiresAt  int64  // when it did, Unix milliseconds
	Omitted    bool   // the value was too large for a message
}

// Dead is what a row of DeadPrefix says.
type Dead struct {
	Message  string // the row that it was in the outbox
	Reason   string
	Attempts uint64
	At       int64 // Unix milliseconds
}

// The first byte of a row says what it is, the second in which version.
const (
	payloadRow = "m1"
	expiredRow = "x1"
	deadRow    = "d1"
)

// errMessage says that a row of the outbox is none of the store's.
var errMessage = errors.New("not a message: something else wrote this row")

// Encode is the message as a row's value.
func (m *Message) Encode() string {
	var room [64]byte
	if m.Expired == nil {
		return string(binary.AppendVarint(append(room[:0], payloadRow...), m.At)) + m.Payload
	}
	e, omitted := m.Expired, byte(0)
	if e.Omitted {
		omitted = 1
	}
	head := append(append(room[:0], expiredRow...), omitted)
	head = binary.AppendVarint(head, m.At)
	head = binary.AppendVarint(head, e.ExpiresAt)
	head = binary.AppendUvarint(head, uint64(len(e.Group)))
	head = binary.AppendUvarint(head, uint64(len(e.Key)))
	var row strings.Builder
	row.Grow(len(head) + len(e.Group) + len(e.Key) + len(e.Value))
	row.Write(head)
	row.WriteString(e.Group)
	row.WriteString(e.Key)
	row.WriteString(e.Value)
	return row.String()
}

// DecodeMessage reads a row of the outbox.
func DecodeMessage(row string) (m Message, err error) {
	if rest, ok := strings.CutPrefix(row, payloadRow); ok {
		at, n := binary.Varint([]byte(rest[:min(len(rest), binary.MaxVarintLen64)]))
		if n <= 0 {
			return m, errMessage
		}
		return Message{At: at, Payload: rest[n:]}, nil
	}
	rest, ok := strings.CutPrefix(row, expiredRow)
	if !ok || rest == "" || rest[0] > 1 {
		return m, errMessage
	}
	e := &Expired{Omitted: rest[0] == 1}
	rest = rest[1:]
	told, n := binary.Varint([]byte(rest[:min(len(rest), binary.MaxVarintLen64)]))
	if n <= 0 {
		return m, errMessage
	}
	rest = rest[n:]
	head := []byte(rest[:min(len(rest), 3*binary.MaxVarintLen64)])
	at, n := binary.Varint(head)
	group, n2 := binary.Uvarint(head[max(n, 0):])
	key, n3 := binary.Uvarint(head[max(n, 0)+max(n2, 0):])
	if n <= 0 || n2 <= 0 || n3 <= 0 {
		return m, errMessage
	}
	rest = rest[n+n2+n3:]
	if group > uint64(len(rest)) || key > uint64(len(rest))-group {
		return m, errMessage
	}
	e.ExpiresAt, e.Group, e.Key, e.Value = at, rest[:group], rest[group:group+key], rest[group+key:]
	return Message{At: told, Expired: e}, nil
}

// Encode is the dead message as a row's value.
func (d *Dead) Encode() string {
	head := []byte(deadRow)
	head = binary.AppendVarint(head, d.At)
	head = binary.AppendUvarint(head, d.Attempts)
	head = binary.AppendUvarint(head, uint64(len(d.Reason)))
	return string(head) + d.Reason + d.Message
}

// DecodeDead reads a row of DeadPrefix.
func DecodeDead(row string) (d Dead, err error) {
	rest, ok := strings.CutPrefix(row, deadRow)
	if !ok {
		return d, errMessage
	}
	head := []byte(rest[:min(len(rest), 3*binary.MaxVarintLen64)])
	at, n := binary.Varint(head)
	attempts, n2 := binary.Uvarint(head[max(n, 0):])
	reason, n3 := binary.Uvarint(head[max(n, 0)+max(n2, 0):])
	if n <= 0 || n2 <= 0 || n3 <= 0 {
		return d, errMessage
	}
	rest = rest[n+n2+n3:]
	if reason > uint64(len(rest)) {
		return d, errMessage
	}
	return Dead{Message: rest[reason:], Reason: rest[:reason], Attempts: attempts, At: at}, nil
}
