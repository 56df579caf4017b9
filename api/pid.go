package api

// PID is the address of the store's actor: it takes the messages of package protocol
// and answers them; see there, and docs/ACTORS.md. The actor is started by the first
// call, in the actor system that the store was opened with (WithActorSystem; without
// one PID fails with InvalidOptionError), and stops with the store, after it has answered
// what it has taken. Every call returns the same one; if it was stopped, a new
// one is started.
//
// A store opened WithReadOnly has an actor too: it answers reads and subscriptions, and
// writes with ReadOnlyError. On a closed store PID fails with ClosedError; messages to
// the actor of a store that was closed are dead letters of the actor system.
//
// A holder of the PID can do everything that the actor can, and stop it. It does not
// obey the context of WithContext.
func (s *Store) PID() (*PID, error) {
	if err := s.missing(); err != nil {
		return nil, wrap("PID", err)
	}
	pid, err := s.inner().PID("", QuotaConfig{})
	return pid, wrap("PID", err)
}

// PID is Store.PID of an actor for the namespace, with the view's quota: whatever it is
// sent, it does not leave the namespace. Views that have the same namespace and quota
// share one. A store has 4,096 of them at most (TooManyActorsError): each lives until
// it is stopped, as any actor, or the store is closed.
func (s *ScopedStore) PID() (*PID, error) {
	if err := s.parent().missing(); err != nil {
		return nil, wrap("PID", err)
	}
	pid, err := s.parent().inner().PID(s.Namespace(), s.limits())
	return pid, wrap("PID", err)
}

// DroppedMessages counts messages to the actors of a store, and to the addresses of its
// timers, that came to nothing since it was opened. Each
// kind is in the log too, with the type of the message and never with what it holds.
type DroppedMessages struct {
	Unknown     uint64 // none of package protocol
	Unsent      uint64 // without a sender: there was no address to answer
	Crowded     uint64 // requests, not done, of senders whose mailbox takes no answers
	Undelivered uint64 // answers whose senders were gone, or took nothing until the end
	Flooded     uint64 // refused, by protocol.Busy, since 65,536 messages or 64 MiB waited already; not in the log
	LostTimers  uint64 // of NotifyOnExpiry, damaged or overwritten with no address: no actor was told that the keys expired
}

// DroppedMessages is how many there were so far.
func (s *Store) DroppedMessages() DroppedMessages { return DroppedMessages(s.inner().Dropped()) }

// DroppedMessages is Store.DroppedMessages, of the whole store.
func (s *ScopedStore) DroppedMessages() DroppedMessages { return s.parent().DroppedMessages() }
