package storetest

import "fmt"

// Kill is kill -9, and a new start: what a killed process would leave on disk now is
// opened again. Everything that was written is there, synced or not; a write that had
// returned is, and one under way may be. What the store does after this moment reaches no
// disk: calls that are under way fail, watchers' channels are closed. A store in memory is
// empty then.
//
// Time goes on where it was, and faults stay. Kill fails the test if the store can't be
// opened: see Crash and Reopen where that is what is tested. Call it from the test's
// goroutine, while no other reads s.Store.
func (s *Store) Kill() {
	s.t.Helper()
	s.Crash()
	if err := s.Reopen(); err != nil {
		s.t.Fatalf("storetest: after a kill: %v", err)
	}
}

// PowerLoss is a power cut, and a new start: of what was written and not synced any part
// is there, by sectors of 512 bytes, as the seed chooses (nothing of it, all, or anything
// in between), and of the names in the folder too. What was synced is there. So with the
// default durability everything that was acknowledged is; with api.DurabilityBuffered the
// last commits may be gone.
//
// It is otherwise as Kill. The same seed chooses the same of the same calls, which more
// than one goroutine at a time seldom make. Run a test with many seeds.
func (s *Store) PowerLoss(seed uint64) {
	s.t.Helper()
	s.Crash()
	s.close()
	if s.folder != nil {
		if err := s.folder.PowerLoss(seed); err != nil {
			s.t.Fatalf("storetest: power loss: %v", err)
		}
	}
	if err := s.Reopen(); err != nil {
		s.t.Fatalf("storetest: after a power loss with seed %d: %v", seed, err)
	}
}

// Crash is the moment at which the process dies: nothing that the store does from here on
// reaches the disk. It may be called from anywhere, in particular at a point within the
// store: see At. Kill, PowerLoss or Reopen then open what there is.
//
// A call that is answered after this was acknowledged before, or fails: the store takes
// itself for one whose disk fails. For a store in memory it does nothing: its content is
// gone with Kill, PowerLoss or Reopen.
func (s *Store) Crash() {
	if s.folder != nil {
		s.folder.Die()
	}
}

// Reopen closes the store, unless it has crashed, and opens it again.
func (s *Store) Reopen() error {
	s.t.Helper()
	crashed := s.folder != nil && s.folder.Dead()
	if err := s.close(); err != nil && !crashed {
		return fmt.Errorf("close: %w", err)
	}
	s.points.forget()
	if s.folder != nil {
		s.folder.Revive()
	}
	return s.open()
}

// close ends the store; nothing of it is at work then.
func (s *Store) close() error {
	s.t.Helper()
	err := s.Close()
	if left := leftBehind(s.label); left != "" {
		s.t.Errorf("storetest: the store left goroutines behind:\n%s", left)
	}
	return err
}
