package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"
)

// updateAttempts is how often Update tries. Of those that change a key at a time
// one gets through in each attempt, so that many goroutines take many.
const updateAttempts = 1024

// Typed is a group of a store whose values are of one type. It holds nothing but
// the store, the group and the codec: any number may be made of a group, for any
// number of goroutines. Its methods are those of Store of the same names; what they
// fail with beside is a *CodecError, which names the group and the key and wraps
// what the codec returned. Then nothing was written. A codec's panic passes
// through; nothing was written then either.
//
// Encode and Decode are for where there is no method: transactions, batches,
// snapshots, scans.
type Typed[T any] struct {
	store Storer
	group string
	codec Codec[T]
}

// Of is the group of a store, or of a namespace, with values of type T:
//
//	users := api.Of(store, "users", api.JSON[User]())
//	err := users.Set("ada", User{Name: "Ada"})
//	user, err := users.Get("ada")
//
// With a nil store its methods fail with NilStoreError, with a nil codec with
// InvalidOptionError.
func Of[T any](store Storer, group string, codec Codec[T]) *Typed[T] {
	return &Typed[T]{store: store, group: group, codec: codec}
}

// TypedEntry is a live key with its value, the revision of the request that last
// changed it, and when it expires (the zero time: never).
type TypedEntry[T any] struct {
	Key       string
	Value     T
	Revision  uint64
	ExpiresAt time.Time
}

// TypedEvent is an event whose value is decoded: Value is that of an EventSet,
// and the last one of an EventExpire. Event.Value is what is stored.
type TypedEvent[T any] struct {
	Event
	Value T
}

// Group is the name of the group, within the namespace if there is one.
func (t *Typed[T]) Group() string {
	if t == nil {
		return ""
	}
	return t.group
}

// WithContext is the same group; calls through it obey ctx, as
// Store.WithContext.
func (t *Typed[T]) WithContext(ctx context.Context) *Typed[T] {
	if t == nil || t.store == nil {
		return t
	}
	return Of(InContext(ctx, t.store), t.group, t.codec)
}

// usable says what is missing.
func (t *Typed[T]) usable() error {
	switch {
	case t == nil || t.store == nil:
		return NilStoreError
	case t.codec == nil:
		return fmt.Errorf("the codec is nil: %w", InvalidOptionError)
	}
	return nil
}

// Get is the value of a key. It fails with NotFoundError when there is none, or
// it has expired.
func (t *Typed[T]) Get(key string) (value T, err error) {
	if err := t.usable(); err != nil {
		return value, wrap("Get", err)
	}
	text, err := t.store.Get(t.group, key)
	if err != nil {
		return value, err
	}
	return t.decode("Get", key, text)
}

// Entry is a key's value, revision and expiry. It fails with NotFoundError when
// there is no such key, or it has expired.
func (t *Typed[T]) Entry(key string) (TypedEntry[T], error) { return t.entry("Entry", key) }

func (t *Typed[T]) entry(function, key string) (TypedEntry[T], error) {
	if err := t.usable(); err != nil {
		return TypedEntry[T]{}, wrap(function, err)
	}
	entry, err := t.store.Entry(t.group, key)
	if err != nil {
		return TypedEntry[T]{}, err
	}
	return t.entryOf(function, key, entry)
}

func (t *Typed[T]) entryOf(function, key string, entry Entry) (TypedEntry[T], error) {
	value, err := t.decode(function, key, entry.Value)
	return TypedEntry[T]{Key: key, Value: value, Revision: entry.Revision, ExpiresAt: entry.ExpiresAt}, err
}

// Exists reports whether there is such a key, whatever its value.
func (t *Typed[T]) Exists(key string) (bool, error) {
	if err := t.usable(); err != nil {
		return false, wrap("Exists", err)
	}
	return t.store.Exists(t.group, key)
}

// Set writes a key, which then never expires. It blocks until the write is
// durable.
func (t *Typed[T]) Set(key string, value T) error {
	text, err := t.encode("Set", key, value)
	if err != nil {
		return err
	}
	return t.store.Set(t.group, key, text)
}

// SetWithTTL writes a key that expires timeToLive after it was committed, as
// Store.SetWithTTL.
func (t *Typed[T]) SetWithTTL(key string, value T, timeToLive time.Duration, options ...TTLOption) error {
	text, err := t.encode("SetWithTTL", key, value)
	if err != nil {
		return err
	}
	return t.store.SetWithTTL(t.group, key, text, timeToLive, options...)
}

// SetIfAbsent writes a key that is not there, or has expired, and returns its
// revision. Otherwise it fails with a *RevisionMismatchError.
func (t *Typed[T]) SetIfAbsent(key string, value T) (revision uint64, err error) {
	text, err := t.encode("SetIfAbsent", key, value)
	if err != nil {
		return 0, err
	}
	return t.store.SetIfAbsent(t.group, key, text)
}

// CompareAndSet writes a key whose revision is the one given, as Entry, All and
// events tell it, and returns the new one: see Store.CompareAndSet. When the key
// has another revision it fails with a *RevisionMismatchError.
func (t *Typed[T]) CompareAndSet(key string, value T, revision uint64) (uint64, error) {
	text, err := t.encode("CompareAndSet", key, value)
	if err != nil {
		return 0, err
	}
	return t.store.CompareAndSet(t.group, key, text, revision)
}

// Update reads a key, has change make the new value of the one that is there, and
// writes it if the key has not changed meanwhile; otherwise it begins again, so change should have
// no other effect. It returns the new revision. For a key that is not there, or has
// expired, change is given the zero value, and found is false. A key that expires
// keeps its deadline, but not a NotifyOnExpiry.
//
// An error of change is returned as it is, and a panic passes through; nothing was
// written then. It fails with a *ConflictError when others got ahead of it in 1,024
// attempts.
func (t *Typed[T]) Update(key string, change func(value T, found bool) (T, error)) (revision uint64, err error) {
	var mismatch *RevisionMismatchError
	for range updateAttempts {
		entry, err := t.entry("Update", key)
		found := err == nil
		if err != nil && !errors.Is(err, NotFoundError) {
			return 0, err
		}
		value, err := change(entry.Value, found)
		if err != nil {
			return 0, err
		}
		text, err := t.encode("Update", key, value)
		if err != nil {
			return 0, err
		}
		batch := new(Batch).IfRevision(t.group, key, entry.Revision).SetUntil(t.group, key, text, entry.ExpiresAt)
		revision, err = t.store.change("Update", batch.mutation(t.store.within()))
		if !errors.As(err, &mismatch) {
			return revision, err
		}
	}
	return 0, wrap("Update", &ConflictError{Attempts: updateAttempts, Last: mismatch})
}

// Delete removes a key. Removing one that is not there changes nothing and is no
// error.
func (t *Typed[T]) Delete(key string) error {
	if err := t.usable(); err != nil {
		return wrap("Delete", err)
	}
	return t.store.Delete(t.group, key)
}

// CompareAndDelete removes a key whose revision is the one given: see
// Store.CompareAndDelete.
func (t *Typed[T]) CompareAndDelete(key string, revision uint64) error {
	if err := t.usable(); err != nil {
		return wrap("CompareAndDelete", err)
	}
	return t.store.CompareAndDelete(t.group, key, revision)
}

// All yields every key of the group, in the byte order of the keys, from one
// snapshot. A value that can't be decoded is yielded as a *CodecError, with its
// key and revision and the zero value, and the loop goes on with the next one if
// its body does; any other error is the last that is yielded. The body may call
// anything.
func (t *Typed[T]) All() iter.Seq2[TypedEntry[T], error] {
	return func(yield func(TypedEntry[T], error) bool) {
		if err := t.usable(); err != nil {
			yield(TypedEntry[T]{}, wrap("All", err))
			return
		}
		for entry, err := range t.store.Scan(ScanOptions{Groups: Exactly(t.group)}) {
			typed := TypedEntry[T]{}
			if err == nil {
				typed, err = t.entryOf("All", entry.Key, Entry{Value: entry.Value, Revision: entry.Revision, ExpiresAt: entry.ExpiresAt})
			}
			if !yield(typed, err) {
				return
			}
		}
	}
}

// Subscribe is Store.Subscribe for the changes of the group, with values. Of the
// filters only the keys count: a filter that names a group is an InvalidOptionError. A
// value that can't be decoded is yielded as a *CodecError, with its event, and the
// subscription goes on if the loop's body does: nothing is passed over in silence.
// Any other error ends it and is the last that is yielded.
func (t *Typed[T]) Subscribe(ctx context.Context, options SubscribeOptions) iter.Seq2[TypedEvent[T], error] {
	events, err := t.events(ctx, options)
	return func(yield func(TypedEvent[T], error) bool) {
		if err != nil {
			yield(TypedEvent[T]{}, wrap("Subscribe", err))
			return
		}
		for event, err := range events {
			typed := TypedEvent[T]{Event: event}
			if err == nil && (event.Type == EventSet || event.Type == EventExpire) {
				typed.Value, err = t.decode("Subscribe", event.Key, event.Value)
			}
			if !yield(typed, err) {
				return
			}
		}
	}
}

// events begins the subscription.
func (t *Typed[T]) events(ctx context.Context, options SubscribeOptions) (iter.Seq2[Event, error], error) {
	if err := t.usable(); err != nil {
		return nil, err
	}
	filters := []Filter{{Group: Exactly(t.group)}}
	for i, filter := range options.Filters {
		if filter.Group != (Match{}) {
			return nil, fmt.Errorf("filter %d is of a group, but all are of %q: %w", i, t.group, InvalidOptionError)
		}
		filters = append(filters[:i], Filter{Group: Exactly(t.group), Key: filter.Key})
	}
	options.Filters = filters
	return t.store.Subscribe(ctx, options), nil
}

// Encode is what Set would store for a key, for a transaction's or a batch's Set.
func (t *Typed[T]) Encode(key string, value T) (string, error) { return t.encode("Encode", key, value) }

// Decode is the value that is stored as text for a key, as a transaction's or a
// snapshot's Get returns it.
func (t *Typed[T]) Decode(key, text string) (value T, err error) {
	if err := t.usable(); err != nil {
		return value, wrap("Decode", err)
	}
	return t.decode("Decode", key, text)
}

// buffers are what codecs append to. Only these go back, never what a codec has
// returned: that may be the value's own memory.
var buffers = sync.Pool{New: func() any { return new([4096]byte) }}

func (t *Typed[T]) encode(function, key string, value T) (string, error) {
	if err := t.usable(); err != nil {
		return "", wrap(function, err)
	}
	if codec, ok := t.codec.(textual[T]); ok {
		return codec.text(value), nil
	}
	buffer := buffers.Get().(*[4096]byte)
	data, err := t.codec.Append(buffer[:0], value)
	if err != nil {
		buffers.Put(buffer)
		return "", wrap(function, &CodecError{Group: t.group, Key: key, Err: err})
	}
	text := string(data)
	buffers.Put(buffer)
	return text, nil
}

func (t *Typed[T]) decode(function, key, text string) (value T, err error) {
	if codec, ok := t.codec.(textual[T]); ok {
		return codec.value(text), nil
	}
	value, err = t.codec.Decode([]byte(text))
	if err != nil {
		var none T // not one that is half there
		return none, wrap(function, &CodecError{Group: t.group, Key: key, Decoding: true, Err: err})
	}
	return value, nil
}
