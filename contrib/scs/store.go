package scsstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alexedwards/scs/v2"

	"forge.lthn.ai/core/go-store/api"
)

var (
	_ scs.CtxStore         = (*Store)(nil)
	_ scs.IterableStore    = (*Store)(nil)
	_ scs.IterableCtxStore = (*Store)(nil)
)

// Store is a session store of scs. It is safe for use by any number of goroutines.
type Store struct {
	store api.Storer
	group string
}

// New keeps sessions in a group of a store, or of a namespace and its quota. A session's
// key is its token: a program that can read the group can take sessions over, unless
// SessionManager.HashTokenInStore is set. With a nil store every method fails with
// api.NilStoreError.
func New(store api.Storer, group string) *Store {
	if store == nil {
		store = (*api.Store)(nil)
	}
	return &Store{store, group}
}

// Find is FindCtx without a context.
func (s *Store) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// FindCtx is a session's data; found is false for a token that there is not, that has
// expired, or that can't be one.
func (s *Store) FindCtx(ctx context.Context, token string) (data []byte, found bool, err error) {
	data, err = api.InContext(ctx, s.store).GetBytes(s.group, token)
	switch {
	case errors.Is(err, api.NotFoundError), errors.Is(err, api.TooLargeError):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("scsstore.Find: %w", redact(err, token))
	}
	return data, true, nil
}

// Commit is CommitCtx without a context.
func (s *Store) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

// CommitCtx writes a session that expires at a moment, to the millisecond and by the
// store's clock. It returns when that is durable. A moment that has passed, the zero time
// among them, ends the session; one after the year 9999 is an api.InvalidDeadlineError.
func (s *Store) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	if expiry.IsZero() { // which is never, to the store
		return s.DeleteCtx(ctx, token)
	}
	batch := new(api.Batch).SetUntil(s.group, token, string(data), expiry)
	if _, err := api.InContext(ctx, s.store).Batch(batch); err != nil {
		return fmt.Errorf("scsstore.Commit: %w", redact(err, token))
	}
	return nil
}

// Delete is DeleteCtx without a context.
func (s *Store) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }

// DeleteCtx ends a session. Ending one that there is not is no error.
func (s *Store) DeleteCtx(ctx context.Context, token string) error {
	if err := api.InContext(ctx, s.store).Delete(s.group, token); err != nil && !errors.Is(err, api.TooLargeError) {
		return fmt.Errorf("scsstore.Delete: %w", redact(err, token))
	}
	return nil
}

// All is AllCtx without a context.
func (s *Store) All() (map[string][]byte, error) { return s.AllCtx(context.Background()) }

// AllCtx is the data of all sessions that have not expired, by token, as of one moment.
// All of it is in memory at once.
func (s *Store) AllCtx(ctx context.Context) (map[string][]byte, error) {
	all := map[string][]byte{}
	for session, err := range api.InContext(ctx, s.store).All(s.group) {
		if err != nil {
			return nil, fmt.Errorf("scsstore.All: %w", err)
		}
		all[session.Key] = []byte(session.Value)
	}
	return all, nil
}
