package api

import "forge.lthn.ai/core/go-store/kv"

// Tell puts a message for an address into the store's outbox. It blocks until that is
// durable; the message is delivered afterwards, by whoever has started package outbox
// on the store: at least once, in the order of the commits for each address, after
// restarts too, until its receiver has acknowledged it.
//
// The address is any text without a NUL byte, of 1 to 1,024 bytes: otherwise Tell
// fails with InvalidAddressError. Nobody looks whether there is such a receiver. A
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
