package koanfstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/knadh/koanf/v2"

	"forge.lthn.ai/core/go-store/api"
)

var _ koanf.Provider = (*Store)(nil)

// Test with errors.Is.
var (
	// AmbiguousError: a key is a setting, and another one lies below it, as "db" and
	// "db.host" do.
	AmbiguousError = errors.New("a key is both a setting and the beginning of others: rename one of them")
	// WatchedError: Watch was called on a provider that is watched already.
	WatchedError = errors.New("the provider is watched already")
)

// Options are how Provider reads a group. The zero value has all keys on one level, and
// strings for values.
type Options struct {
	// Delimiter divides keys into levels: with ".", "db.host" is the setting "host" of
	// "db". Choose the one that koanf has. By default keys are not divided.
	Delimiter string
	// Value makes a setting's value of what is stored, numbers of digits say. An error
	// fails Read. By default it is the string, of which koanf's Int, Bool and the like
	// make what they are asked for.
	Value func(key, value string) (any, error)
}

// Store is a provider of koanf's. It is safe for use by any number of goroutines.
type Store struct {
	store    api.Storer
	group    string
	key      api.Match // of a document: that one
	document string    // its key
	options  Options

	mu struct {
		sync.Mutex
		watch *watch // nil: there is none
	}
}

type watch struct{ end context.CancelFunc }

// Provider reads the keys of a group, of a store or a namespace: k.Load(provider, nil). With
// a nil store its methods fail with api.NilStoreError.
func Provider(store api.Storer, group string, options Options) *Store {
	return &Store{store: some(store), group: group, options: options}
}

// Document reads one key, whose value a parser understands: k.Load(document, yaml.Parser()).
func Document(store api.Storer, group, key string) *Store {
	return &Store{store: some(store), group: group, key: api.Exactly(key), document: key}
}

func some(store api.Storer) api.Storer {
	if store == nil {
		return (*api.Store)(nil)
	}
	return store
}

func (s *Store) isDocument() bool { return s.key != api.Match{} }

// Read is the settings of a group as of one moment, as nested maps. It fails with
// AmbiguousError, with what Options.Value returns, and with the store's errors; for a
// Document always.
func (s *Store) Read() (map[string]any, error) {
	if s.isDocument() {
		return nil, errors.New("koanfstore.Read: a Document is read with a parser: k.Load(document, yaml.Parser())")
	}
	tree := tree{levels: map[string]map[string]any{}, settings: map[string]bool{}, root: map[string]any{}}
	for entry, err := range s.store.All(s.group) {
		if err != nil {
			return nil, fmt.Errorf("koanfstore.Read: %w", err)
		}
		var value any = entry.Value
		if s.options.Value != nil {
			value, err = s.options.Value(entry.Key, entry.Value)
		}
		if err == nil {
			err = tree.put(entry.Key, s.options.Delimiter, value)
		}
		if err != nil {
			return nil, fmt.Errorf("koanfstore.Read: %s/%s: %w", s.group, entry.Key, err)
		}
	}
	return tree.root, nil
}

// tree is the settings on their way into maps.
type tree struct {
	root     map[string]any
	levels   map[string]map[string]any // by what stands before their settings
	settings map[string]bool
}

func (t *tree) put(key, delimiter string, value any) error {
	at, begin := t.root, 0
	for delimiter != "" {
		length := strings.Index(key[begin:], delimiter)
		if length < 0 {
			break
		}
		name, path := key[begin:begin+length], key[:begin+length]
		if t.settings[path] {
			return AmbiguousError
		}
		if t.levels[path] == nil {
			t.levels[path] = map[string]any{}
			at[name] = t.levels[path]
		}
		at, begin = t.levels[path], begin+length+len(delimiter)
	}
	if t.levels[key] != nil {
		return AmbiguousError
	}
	t.settings[key] = true
	at[key[begin:]] = value
	return nil
}

// ReadBytes is the value of a Document. It fails with api.NotFoundError if there is none,
// and for a Provider always.
func (s *Store) ReadBytes() ([]byte, error) {
	if !s.isDocument() {
		return nil, errors.New("koanfstore.ReadBytes: a Provider has no bytes for a parser: k.Load(provider, nil)")
	}
	data, err := s.store.GetBytes(s.group, s.document)
	if err != nil {
		return nil, fmt.Errorf("koanfstore.ReadBytes: %w", err)
	}
	return data, nil
}

// Watch has a function called in a goroutine of its own after each commit that changes
// what is read, with the first api.Event of it; other changes of the same commit, and those
// that are made while the function runs, are there to be read by then. Nothing that is
// committed after Watch has returned is missed: watch first, then load. The function may
// do anything, Load and Unwatch included; one that has fallen far behind is called once for
// many commits (api.EventGap).
//
// It ends with Unwatch, without a call; or with the store, and is then called a last time
// with the error. Until then Watch fails with WatchedError.
func (s *Store) Watch(changed func(event any, err error)) error {
	if changed == nil {
		return fmt.Errorf("koanfstore.Watch: the function is nil: %w", api.InvalidOptionError)
	}
	if _, err := s.store.Revision(); err != nil { // a store that can't be watched says so here
		return fmt.Errorf("koanfstore.Watch: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.watch != nil {
		return fmt.Errorf("koanfstore.Watch: %w", WatchedError)
	}
	ctx, end := context.WithCancel(context.Background())
	this := &watch{end}
	s.mu.watch = this
	events := s.store.Subscribe(ctx, api.SubscribeOptions{
		Filters: []api.Filter{{Group: api.Exactly(s.group), Key: s.key}}, Slow: api.SlowSkip})
	go func() {
		defer s.unwatch(this)
		told := uint64(0)
		for event, err := range events {
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				s.unwatch(this) // so that the function may watch anew
				changed(nil, fmt.Errorf("koanfstore.Watch: %w", err))
				return
			case event.Revision != told || event.Type == api.EventGap:
				told = event.Revision
				changed(event, nil)
			}
		}
	}()
	return nil
}

// Unwatch ends Watch: the function is not called any more, but for a call that is under
// way. It does nothing if there is no Watch.
func (s *Store) Unwatch() error {
	s.mu.Lock()
	this := s.mu.watch
	s.mu.Unlock()
	s.unwatch(this)
	return nil
}

func (s *Store) unwatch(this *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if this == nil {
		return
	}
	this.end()
	if s.mu.watch == this {
		s.mu.watch = nil
	}
}
