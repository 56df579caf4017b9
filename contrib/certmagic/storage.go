package certmagicstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"

	"forge.lthn.ai/core/go-store/api"
)

var (
	_ certmagic.Storage          = (*Storage)(nil)
	_ certmagic.TryLocker        = (*Storage)(nil)
	_ certmagic.LockLeaseRenewer = (*Storage)(nil)
)

// Options are how New keeps things. The zero value is ready for use.
type Options struct {
	// Group is where the values are, "certmagic" by default; their times are in
	// Group + ":modified" and the locks in Group + ":locks".
	Group string
	// Lease is how long a lock outlives its holder, a killed process say: 15 s by
	// default, at least a second. It is renewed each third of it, by a commit.
	Lease time.Duration
	// Logger is told of leases that could not be renewed. By default there is none.
	Logger *slog.Logger
}

// Storage is a storage of certmagic's. It is safe for use by any number of goroutines.
//
// Keys are paths: leading, trailing and doubled slashes don't count, and one with a part
// ".." is refused with fs.ErrInvalid, as is "" where a file is meant. Otherwise they may be
// any bytes. Unlike in files, a key may have a value and be a prefix of others too.
type Storage struct {
	store                   api.Storer
	values, modified, locks string
	lease                   time.Duration
	logger                  *slog.Logger
	held                    leases
}

// New is a storage in a store, or in a namespace with its quota. With a nil store every
// method fails with api.NilStoreError.
func New(store api.Storer, options Options) *Storage {
	if store == nil {
		store = (*api.Store)(nil)
	}
	if options.Group == "" {
		options.Group = "certmagic"
	}
	if options.Lease == 0 {
		options.Lease = 15 * time.Second
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	return &Storage{store: store, values: options.Group, modified: options.Group + ":modified", locks: options.Group + ":locks",
		lease: max(options.Lease, time.Second), logger: options.Logger}
}

// String is for certmagic's log.
func (s *Storage) String() string { return "certmagicstore:" + s.values }

// Store writes the value at a key, with the time by the machine's clock, in one commit. It
// returns when that is durable.
func (s *Storage) Store(ctx context.Context, key string, value []byte) error {
	key, err := file(key)
	if err == nil {
		_, err = api.InContext(ctx, s.store).Batch(new(api.Batch).Set(s.values, key, string(value)).
			Set(s.modified, key, time.Now().UTC().Format(time.RFC3339Nano)))
	}
	return wrap("Store", key, err)
}

// Load is the value at a key. It fails with fs.ErrNotExist when there is none.
func (s *Storage) Load(ctx context.Context, key string) ([]byte, error) {
	key, err := file(key)
	if err != nil {
		return nil, wrap("Load", key, err)
	}
	value, err := api.InContext(ctx, s.store).GetBytes(s.values, key)
	return value, wrap("Load", key, err)
}

// Delete removes a key and all below it: up to some thousand keys in one commit. It is no
// error if there are none. The root is refused.
func (s *Storage) Delete(ctx context.Context, key string) error {
	key, err := file(key)
	if err != nil {
		return wrap("Delete", key, err)
	}
	store, batch := api.InContext(ctx, s.store), new(api.Batch)
	remove := func() {
		if err == nil && batch.Len() > 0 {
			_, err = store.Batch(batch)
			batch.Reset()
		}
	}
	batch.Delete(s.values, key).Delete(s.modified, key)
	for below, failed := range keys(store, s.values, key+"/", key+"0") { // '0' follows '/'
		if failed != nil {
			return wrap("Delete", key, failed)
		}
		if batch.Delete(s.values, below).Delete(s.modified, below); batch.Len() >= 10_000 {
			remove()
		}
	}
	remove()
	return wrap("Delete", key, err)
}

// Exists reports whether there is a value at a key, or below it, and nothing went wrong.
func (s *Storage) Exists(ctx context.Context, key string) bool {
	_, err := s.Stat(ctx, key)
	return err == nil
}

// List is the keys below a path, sorted: those of its next level, or with recursive of
// all. The ones that are merely prefixes of others are among them, as in FileStorage. It
// fails with fs.ErrNotExist if there is nothing at the path. The root, "", is always there.
func (s *Storage) List(ctx context.Context, dir string, recursive bool) ([]string, error) {
	dir, err := clean(dir)
	if err != nil {
		return nil, wrap("List", dir, err)
	}
	prefix, to := "", ""
	if dir != "" {
		prefix, to = dir+"/", dir+"0"
	}
	store, list := api.InContext(ctx, s.store), []string{}
	for from, more := prefix, true; more; {
		more = false
		for key, err := range keys(store, s.values, from, to) {
			if err != nil {
				return nil, wrap("List", dir, err)
			}
			child, _, deeper := strings.Cut(key[len(prefix):], "/")
			if !recursive {
				list = append(list, prefix+child)
				if deeper { // pass over all that is below
					from, more = prefix+child+"0", true
					break
				}
				continue
			}
			for at := key; len(at) > len(prefix) && at != "."; at = path.Dir(at) {
				list = append(list, at)
			}
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	if len(list) == 0 && dir != "" {
		exists, err := store.Exists(s.values, dir)
		if err == nil && !exists {
			err = fs.ErrNotExist
		}
		return list, wrap("List", dir, err)
	}
	return list, nil
}

// Stat says what there is at a key: a value, its size and when it was written; or, of one
// that is merely a prefix of others, when the latest of those was. It fails with
// fs.ErrNotExist if there is neither.
func (s *Storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	key, err := clean(key)
	if err != nil {
		return certmagic.KeyInfo{}, wrap("Stat", key, err)
	}
	store := api.InContext(ctx, s.store)
	value, err := store.Get(s.values, key)
	if err == nil && key != "" {
		at, err := store.Get(s.modified, key)
		if errors.Is(err, api.NotFoundError) { // written by others
			err = nil
		}
		return certmagic.KeyInfo{Key: key, Modified: parse(at), Size: int64(len(value)), IsTerminal: true}, wrap("Stat", key, err)
	}
	if err == nil || errors.Is(err, api.NotFoundError) {
		return s.statFolder(store, key)
	}
	return certmagic.KeyInfo{}, wrap("Stat", key, err)
}

func (s *Storage) statFolder(store api.Storer, key string) (certmagic.KeyInfo, error) {
	info, prefix, to, exists := certmagic.KeyInfo{Key: key}, "", "", key == ""
	if key != "" {
		prefix, to = key+"/", key+"0"
	}
	for _, err := range keys(store, s.values, prefix, to) {
		if err != nil {
			return certmagic.KeyInfo{}, wrap("Stat", key, err)
		}
		exists = true
		break
	}
	if !exists {
		return certmagic.KeyInfo{}, wrap("Stat", key, fs.ErrNotExist)
	}
	for entry, err := range store.Scan(api.ScanOptions{Groups: api.Exactly(s.modified), From: prefix, To: to}) {
		if err != nil {
			return certmagic.KeyInfo{}, wrap("Stat", key, err)
		}
		if at := parse(entry.Value); at.After(info.Modified) {
			info.Modified = at
		}
	}
	return info, nil
}

// parse is the zero time for what is none.
func parse(text string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return at
}

// keys are those from one on and before another that this package can have written.
func keys(store api.Storer, group, from, to string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for entry, err := range store.Scan(api.ScanOptions{Groups: api.Exactly(group), From: from, To: to, KeysOnly: true}) {
			if err == nil {
				if cleaned, err := file(entry.Key); err != nil || cleaned != entry.Key {
					continue
				}
			}
			if !yield(entry.Key, err) {
				return
			}
		}
	}
}

// clean is a key as it is stored.
func clean(key string) (string, error) {
	if slices.Contains(strings.Split(key, "/"), "..") {
		return key, fmt.Errorf("a part of the key is \"..\": %w", fs.ErrInvalid)
	}
	return strings.TrimPrefix(path.Clean("/"+key), "/"), nil
}

// file is clean for what can't be the root.
func file(key string) (string, error) {
	cleaned, err := clean(key)
	if err == nil && cleaned == "" {
		err = fmt.Errorf("the key is empty: %w", fs.ErrInvalid)
	}
	return cleaned, err
}

// wrap names the function and the key, and gives what is missing the name that it has for
// certmagic.
func wrap(function, key string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, api.NotFoundError):
		return fmt.Errorf("certmagicstore.%s: %s: %w: %w", function, key, fs.ErrNotExist, err)
	}
	return fmt.Errorf("certmagicstore.%s: %s: %w", function, key, err)
}
