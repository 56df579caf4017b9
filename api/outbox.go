package api

import (
	"errors"
	"fmt"
	"iter"
	"time"
	"unicode/utf8"

	"forge.lthn.ai/core/go-store/kv"
)

// Tell puts a message for an address into the store's outbox. It blocks until that is
// durable; the message is delivered afterwards, by package outbox once that is
// started on the store: at least once, in the order of the commits for each address, after
// restarts too, until its receiver has acknowledged it.
//
// The address is any text without a NUL byte, of 1 to 1,024 bytes: otherwise Tell
// fails with InvalidAddressError. Whether there is such a receiver is not looked at. A
// message over SizeLimits.Value is a TooLargeError.
//
// A message is a row of the group "\x00outbox:" + address: it takes space until it is
// delivered, is in backups, and has events like other rows. DeletePrefix("") removes
// it with everything else.
func (s *Store) Tell(address, message string) error {
	return s.apply("Tell", kv.Mutation{Kind: kv.Tell, Group: address, Value: message})
}

// Tell is Store.Tell to an address of the namespace, whose full name is the
// namespace, a colon and the address: there is no other that it reaches. Messages
// don't count towards the quota.
func (s *ScopedStore) Tell(address, message string) error {
	return s.apply("Tell", kv.Mutation{Kind: kv.Tell, Group: kv.AddressWithin(s.within(), address), Value: message})
}

// Tell puts a message into the outbox, as Store.Tell, if the batch is committed. In a
// scoped store the address is one of its namespace.
func (b *Batch) Tell(address, message string) *Batch {
	return b.add(kv.Operation{Kind: kv.Tell, Group: address, Value: message})
}

// Tell puts a message into the outbox, as Store.Tell, if the transaction is committed.
// No read within the transaction sees it.
func (tx *Transaction) Tell(address, message string) error {
	return wrap("Tell", tx.inner.Tell(kv.AddressWithin(tx.prefix, address), message))
}

// TTLOption is what SetWithTTL does beside setting a deadline: see NotifyOnExpiry.
type TTLOption struct {
	notifies bool
	address  string
}

// NotifyOnExpiry has SetWithTTL make a durable timer: when the key expires its last
// value goes to the address, as a message in the outbox, in the commit that removes the
// key; also if the program was not running at that moment. See Tell for addresses; of
// several the last counts.
//
// The timer belongs to this deadline of the key. Touch moves both, and an Increment
// leaves them; Persist ends the timer, and so does what writes the key anew or deletes
// it: Set, SetWithTTL, unless with a NotifyOnExpiry of its own, CompareAndSet, Delete,
// DeleteGroup and DeletePrefix. It is a row of the group "\x00timers:" + the key's.
func NotifyOnExpiry(address string) TTLOption { return TTLOption{notifies: true, address: address} }

// notice is what the options say of an address.
func notice(prefix string, options []TTLOption) (notifies bool, address string) {
	if len(options) == 0 {
		return false, ""
	}
	last := options[len(options)-1]
	return last.notifies, kv.AddressWithin(prefix, last.address)
}

// Where the outbox's rows are. They are ordinary ones, but what they hold is the
// store's: read them by OutboxPage and DeadPage.
const (
	OutboxPrefix = kv.OutboxPrefix // and the address: a group of messages, by ID
	DeadPrefix   = kv.DeadPrefix   // and the address: a group of those that were given up, by ID
	TimersPrefix = kv.TimersPrefix // and the group: the timers of its keys
)

// OutboxPageBytes is what OutboxPage and DeadPage return at most, and one message more.
const OutboxPageBytes = 256 << 10

// ExpiredKey is what a timer's message is about: the full Group, the Key and its last
// Value, and when it expired (ExpiresAt). With Omitted the value was too large for a
// message.
type ExpiredKey struct {
	Group, Key, Value string
	ExpiresAt         time.Time
	Omitted           bool
}

// OutboxMessage is a message that waits for its delivery, or was given up.
type OutboxMessage struct {
	ID, Address string
	At          time.Time // when it was committed
	Payload     string
	Expired     *ExpiredKey // not nil: of a timer
	Broken      bool        // the row is not a message: Payload is what it holds

	Reason   string    // DeadPage: why it was given up
	Attempts int       // DeadPage: how often it was tried
	DiedAt   time.Time // DeadPage

	row string
}

// Size is what the message weighs, in bytes.
func (m *OutboxMessage) Size() int { return len(m.row) }

// OutboxAddresses yields the addresses that have messages, in byte order and from one
// on, from one snapshot. An error is yielded once, last.
func (s *Store) OutboxAddresses(from string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		r := kv.PrefixRange(OutboxPrefix)
		r.From += from
		for group, err := range s.inner().Groups(s.context(), r) {
			if err != nil {
				yield("", wrap("OutboxAddresses", err))
				return
			}
			if !yield(group[len(OutboxPrefix):], nil) {
				return
			}
		}
	}
}

// OutboxPage is the oldest messages to an address, at most limit of them and about
// OutboxPageBytes, from an ID on; the next page begins at the last one's ID + "\x00". It
// fails with InvalidPageError for a limit below 1.
func (s *Store) OutboxPage(address, from string, limit int) ([]OutboxMessage, error) {
	return s.messages("OutboxPage", OutboxPrefix, address, from, limit)
}

// DeadPage is OutboxPage for the messages that were given up.
func (s *Store) DeadPage(address, from string, limit int) ([]OutboxMessage, error) {
	return s.messages("DeadPage", DeadPrefix, address, from, limit)
}

func (s *Store) messages(function, prefix, address, from string, limit int) (page []OutboxMessage, err error) {
	if err := s.missing(); err != nil {
		return nil, wrap(function, err)
	}
	if limit < 1 {
		return nil, wrap(function, fmt.Errorf("limit %d: must be positive: %w", limit, InvalidPageError))
	}
	options := ScanOptions{Groups: Exactly(prefix + address), From: from, Limit: limit}
	size := 0
	for entry, err := range s.Scan(options) {
		if err != nil {
			return page, wrap(function, err)
		}
		m := OutboxMessage{ID: entry.Key, Address: address, row: entry.Value}
		m.read(prefix == DeadPrefix)
		if page, size = append(page, m), size+m.Size(); size >= OutboxPageBytes {
			break
		}
	}
	return page, nil
}

// read takes the row apart.
func (m *OutboxMessage) read(isDead bool) {
	row := m.row
	if isDead {
		dead, err := kv.DecodeDead(row)
		if err == nil {
			m.Reason, m.Attempts, m.DiedAt, row = dead.Reason, int(dead.Attempts), time.UnixMilli(dead.At), dead.Message
		}
	}
	message, err := kv.DecodeMessage(row)
	if err != nil {
		m.Broken, m.Payload = true, row
		return
	}
	m.At, m.Payload = kv.DeadlineTime(message.At), message.Payload
	if e := message.Expired; e != nil {
		m.Expired = &ExpiredKey{Group: e.Group, Key: e.Key, Value: e.Value, ExpiresAt: kv.DeadlineTime(e.ExpiresAt), Omitted: e.Omitted}
	}
}

// Bury moves a message of OutboxPage to the dead letters, with the reason and the number
// of attempts, in one commit. It fails with NotFoundError if it is not there any more.
func (s *Store) Bury(message OutboxMessage, reason string, attempts int) error {
	return s.move("Bury", OutboxPrefix, DeadPrefix, message, s.dead(&message, reason, attempts))
}

// maxReason is how many bytes of a reason are kept.
const maxReason = 1024

// dead is the row of a message that is given up.
func (s *Store) dead(message *OutboxMessage, reason string, attempts int) string {
	if len(reason) > maxReason {
		end := maxReason
		for end > maxReason-utf8.UTFMax && !utf8.RuneStart(reason[end]) {
			end--
		}
		reason = reason[:end]
	}
	dead := kv.Dead{Message: message.row, Reason: reason, Attempts: uint64(max(attempts, 0)), At: s.inner().Now().UnixMilli()}
	return dead.Encode()
}

// BuryAll is Bury for the messages of a page, in one commit if that is within the limits
// and all are there still. Those that are not are passed over.
func (s *Store) BuryAll(messages []OutboxMessage, reason string, attempts int) error {
	batch := new(Batch)
	for _, m := range messages {
		from := OutboxPrefix + m.Address
		batch.IfPresent(from, m.ID).Set(DeadPrefix+m.Address, m.ID, s.dead(&m, reason, attempts)).Delete(from, m.ID)
	}
	_, err := s.change("BuryAll", batch.mutation(""))
	var mismatch *RevisionMismatchError
	if !errors.As(err, &mismatch) && !errors.Is(err, TooLargeError) {
		return err
	}
	for _, m := range messages {
		if err := s.Bury(m, reason, attempts); err != nil && !errors.Is(err, NotFoundError) {
			return err
		}
	}
	return nil
}

// Revive moves a message of DeadPage back into the outbox, under the ID that it had, in
// one commit. It fails with NotFoundError if it is not there any more.
func (s *Store) Revive(message OutboxMessage) error {
	row := message.row
	if dead, err := kv.DecodeDead(row); err == nil {
		row = dead.Message
	}
	return s.move("Revive", DeadPrefix, OutboxPrefix, message, row)
}

func (s *Store) move(function, from, to string, message OutboxMessage, row string) error {
	batch := new(Batch).IfPresent(from+message.Address, message.ID).
		Set(to+message.Address, message.ID, row).Delete(from+message.Address, message.ID)
	_, err := s.change(function, batch.mutation(""))
	var mismatch *RevisionMismatchError
	if errors.As(err, &mismatch) {
		return keyError(function, from+message.Address, message.ID, NotFoundError)
	}
	return err
}
