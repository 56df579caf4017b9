package api

import "context"

// Fold returns once all that was written before it is in the table of entries: what other
// programs read of the file then has it. Otherwise that begins once the store has rested for a
// quarter of a second, and is so once it is closed: see WithOverlay. It is done in parts between commits, so
// writes go on; where nothing is put off it costs no more than a question.
//
// Errors: UnfoldedError and those of the disk, if it can't be written; ReadOnlyError,
// ClosedError, and the context's.
func (s *Store) Fold(ctx context.Context) error {
	if err := s.missing(); err != nil {
		return wrap("Fold", err)
	}
	if ctx == nil {
		return wrap("Fold", errNilContext)
	}
	ctx, cancel := both(ctx, s.context())
	defer cancel()
	return wrap("Fold", s.inner().Fold(ctx))
}
