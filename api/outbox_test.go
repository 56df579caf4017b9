package api_test

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"
)

// teller is what a store and a view of a namespace have in common for messages.
type teller interface {
	handle
	Tell(address, message string) error
	Batch(batch *api.Batch) (uint64, error)
	Transaction(function func(tx *api.Transaction) error) error
}

var (
	_ teller = (*api.Store)(nil)
	_ teller = (*api.ScopedStore)(nil)
)

// outboxOf is the messages to an address, oldest first.
func outboxOf(t testing.TB, store *api.Store, address string) (messages []kv.Message) {
	t.Helper()
	for row, err := range store.All(kv.OutboxPrefix + address) {
		require.NoError(t, err)
		message, err := kv.DecodeMessage(row.Value)
		require.NoError(t, err)
		messages = append(messages, message)
	}
	return messages
}

// payloads is the payloads of the messages to an address, oldest first.
func payloads(t testing.TB, store *api.Store, address string) (all []string) {
	t.Helper()
	for _, message := range outboxOf(t, store, address) {
		require.Nil(t, message.Expired)
		all = append(all, message.Payload)
	}
	return all
}

func TestTellKeepsTheOrderOfCommits(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		var want []string
		tell := func(message string) string {
			want = append(want, message)
			return message
		}
		for i := range 20 {
			require.NoError(t, store.Tell("orders", tell(fmt.Sprint("single ", i))))
			_, err := store.Batch(new(api.Batch).
				Tell("orders", tell(fmt.Sprint("first of a batch ", i))).
				Set("g", "k", fmt.Sprint(i)).
				Tell("others", "elsewhere").
				Tell("orders", tell(fmt.Sprint("second of a batch ", i))))
			require.NoError(t, err)
			require.NoError(t, store.Transaction(func(tx *api.Transaction) error {
				if _, err := tx.Increment("counters", "n", 1); err != nil {
					return err
				}
				if err := tx.Tell("orders", tell(fmt.Sprint("of a transaction ", i))); err != nil {
					return err
				}
				return tx.Tell("orders", tell(fmt.Sprint("\x00\xff and another ", i)))
			}))
		}
		require.Equal(t, want, payloads(t, store, "orders"))
		require.Len(t, payloads(t, store, "others"), 20)
	})
}

// TestTellIsPartOfItsCommit: what was not committed tells nothing.
func TestTellIsPartOfItsCommit(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		_, err := store.Batch(new(api.Batch).IfPresent("g", "absent").Tell("orders", "never"))
		var mismatch *api.RevisionMismatchError
		require.ErrorAs(t, err, &mismatch)
		_, err = store.Batch(new(api.Batch).Tell("orders", "never").Touch("g", "absent", 1))
		require.ErrorIs(t, err, api.NotFoundError)
		given := errors.New("the function's own")
		require.ErrorIs(t, store.Transaction(func(tx *api.Transaction) error {
			require.NoError(t, tx.Tell("orders", "never"))
			return given
		}), given)
		require.Empty(t, payloads(t, store, "orders"))
		revision, err := store.Revision()
		require.NoError(t, err)
		require.Zero(t, revision)

		require.NoError(t, store.Tell("orders", ""), "an empty message is one")
		require.Equal(t, []string{""}, payloads(t, store, "orders"))
		require.NoError(t, store.Transaction(func(tx *api.Transaction) error { return tx.Tell("orders", "alone") }))
		require.Equal(t, []string{"", "alone"}, payloads(t, store, "orders"))
	})
}

func TestTellRefusesAddresses(t *testing.T) {
	store := openStore(t, ":memory:")
	scope := newScope(t, store, "acme")
	for name, address := range map[string]string{
		"empty": "", "a NUL byte first": "\x00outbox", "a NUL byte": "orders\x00", "oversized": strings.Repeat("x", 1025),
	} {
		t.Run(name, func(t *testing.T) {
			for where, s := range map[string]teller{"store": store, "scope": scope} {
				err := s.Tell(address, "m")
				require.ErrorIs(t, err, api.InvalidAddressError, where)
				require.ErrorContains(t, err, "store.Tell: ", where)
				_, err = s.Batch(new(api.Batch).Set("g", "k", "v").Tell(address, "m"))
				require.ErrorIs(t, err, api.InvalidAddressError, where)
				require.ErrorIs(t, s.Transaction(func(tx *api.Transaction) error {
					err := tx.Tell(address, "m")
					require.ErrorIs(t, err, api.InvalidAddressError, where)
					return err
				}), api.InvalidAddressError, where)
			}
		})
	}
	groups, err := store.Groups("")
	require.NoError(t, err)
	require.Empty(t, groups)
	require.NoError(t, store.Tell(strings.Repeat("x", 1024), "m"))
	require.ErrorIs(t, scope.Tell(strings.Repeat("x", 1024), "m"), api.InvalidAddressError, "the namespace counts")
	require.NoError(t, scope.Tell(strings.Repeat("x", 1019), "m"))

	small := openStore(t, ":memory:", api.WithSizeLimits(api.SizeLimits{Value: 10}))
	require.NoError(t, small.Tell("orders", strings.Repeat("x", 10)))
	require.ErrorIs(t, small.Tell("orders", strings.Repeat("x", 11)), api.TooLargeError)
}

// TestTellOfATenant: a namespace has addresses of its own, and no name that it can
// form leads to rows of the outbox.
func TestTellOfATenant(t *testing.T) {
	store := openStore(t, ":memory:")
	acme := newScope(t, store, "acme", api.QuotaConfig{MaxKeys: 1, MaxGroups: 1})
	other := newScope(t, store, "other")
	require.NoError(t, acme.Set("g", "k", "v"))
	require.NoError(t, acme.Tell("orders", "of acme"), "messages don't count")
	_, err := acme.Batch(new(api.Batch).Set("g", "k", "w").Tell("orders", "of acme too"))
	require.NoError(t, err)
	require.NoError(t, acme.Transaction(func(tx *api.Transaction) error { return tx.Tell("orders", "of acme as well") }))
	require.NoError(t, other.Tell("orders", "of other"))
	require.NoError(t, store.Tell("orders", "of nobody"))
	require.Equal(t, []string{"of acme", "of acme too", "of acme as well"}, payloads(t, store, "acme:orders"))
	require.Equal(t, []string{"of other"}, payloads(t, store, "other:orders"))
	require.Equal(t, []string{"of nobody"}, payloads(t, store, "orders"))

	for _, name := range []string{"", "\x00outbox:acme:orders", "\x00outbox:", "orders", "*"} {
		all, err := acme.GetAll(name)
		require.NoError(t, err)
		require.Empty(t, all, name)
	}
	groups, err := acme.Groups("")
	require.NoError(t, err)
	require.Equal(t, []string{"g"}, groups)
	require.NoError(t, acme.Set("g", "k", "x"))
	require.NoError(t, other.Set("\x00outbox:acme:orders", strings.Repeat("0", 24), "m1forged"))
	require.NoError(t, other.DeleteGroup("\x00outbox:acme:orders"))
	require.NoError(t, acme.DeletePrefix(""))
	require.Len(t, payloads(t, store, "acme:orders"), 3)
	usage, err := store.Usage("acme")
	require.NoError(t, err)
	require.Zero(t, usage)
	require.NoError(t, store.DeletePrefix(""))
	require.Empty(t, payloads(t, store, "acme:orders"), "everything is everything")
}

// TestMessagesOfAnotherStore: no message has the ID that one had which was imported,
// though it may be delivered and gone.
func TestMessagesOfAnotherStore(t *testing.T) {
	idsOf := func(store *api.Store) (ids []string) {
		page, err := store.OutboxPage("orders", "", 10)
		require.NoError(t, err)
		for _, m := range page {
			ids = append(ids, m.ID)
		}
		return ids
	}
	from, to := openStore(t, ":memory:"), openStore(t, ":memory:")
	require.NoError(t, from.Tell("orders", "of one"))
	require.NoError(t, to.Tell("orders", "of another"))
	require.Len(t, idsOf(from), 1)
	require.NotEqual(t, idsOf(from), idsOf(to))

	path := filepath.Join(t.TempDir(), "store.db")
	copied := filepath.Join(t.TempDir(), "copied.db")
	store := openStore(t, path)
	require.NoError(t, store.Set("g", "k", "v"))
	require.NoError(t, store.Backup(t.Context(), copied))
	other := openStore(t, copied)
	require.NoError(t, store.Tell("orders", "of one"))
	require.NoError(t, other.Tell("orders", "of its copy"))
	require.NotEqual(t, idsOf(store), idsOf(other))
}

// TestMessagesOfTheFormBefore: those that were made before IDs told stores apart keep
// theirs, and their place in the order.
func TestMessagesOfTheFormBefore(t *testing.T) {
	store := openStore(t, ":memory:")
	require.NoError(t, store.Set(kv.OutboxPrefix+"orders", "000000000000000200000000", (&kv.Message{Payload: "before"}).Encode()))
	require.NoError(t, store.Tell("orders", "of the same revision"))
	require.NoError(t, store.Tell("orders", "after"))
	require.Equal(t, []string{"before", "of the same revision", "after"}, payloads(t, store, "orders"))
	page, err := store.OutboxPage("orders", "", 10)
	require.NoError(t, err)
	require.NoError(t, store.Bury(page[0], "nobody", 1))
	dead, err := store.DeadPage("orders", "", 10)
	require.NoError(t, err)
	require.NoError(t, store.Revive(dead[0]))
	require.Equal(t, []string{"before", "of the same revision", "after"}, payloads(t, store, "orders"))
}

// TestBuryKeepsTimeAndText: the store's own time, and no half of a letter.
func TestBuryKeepsTimeAndText(t *testing.T) {
	clock := testkit.NewClock()
	clock.Advance(100 * 24 * time.Hour)
	store := openStore(t, ":memory:", api.WithClock(clock))
	require.NoError(t, store.Tell("orders", "m"))
	page, err := store.OutboxPage("orders", "", 1)
	require.NoError(t, err)
	require.NoError(t, store.Bury(page[0], "x"+strings.Repeat("\u00fc", 1000), 1))
	dead, err := store.DeadPage("orders", "", 1)
	require.NoError(t, err)
	require.Equal(t, "x"+strings.Repeat("\u00fc", 511), dead[0].Reason)
	require.WithinDuration(t, clock.Now(), dead[0].DiedAt, time.Second)
}

// TestATimerWithoutAnAddress: whatever else has written its row, it is said and removed.
func TestATimerWithoutAnAddress(t *testing.T) {
	clock, log := testkit.NewClock(), new(lines)
	store := openStore(t, ":memory:", api.WithClock(clock), api.WithLogger(slog.New(slog.NewTextHandler(log, nil))), api.WithPurgeInterval(time.Hour))
	require.NoError(t, store.SetWithTTL("g", "k", "v", time.Minute, api.NotifyOnExpiry("closer")))
	for row, err := range store.All(kv.TimersPrefix + "g") {
		require.NoError(t, err)
		require.NoError(t, store.Set(kv.TimersPrefix+"g", row.Key, "no\x00address"))
	}
	clock.Advance(time.Hour)
	_, err := store.PurgeExpired()
	require.NoError(t, err)
	groups, err := store.Groups("")
	require.NoError(t, err)
	require.Empty(t, groups)
	testkit.Until(t, "the log says so", func() bool { return strings.Contains(log.text(), "a timer has no address") })
	require.Equal(t, api.DroppedMessages{LostTimers: 1}, store.DroppedMessages())
}

// TestADamagedTimer: it is said, counted and removed, and the key expires all the same.
func TestADamagedTimer(t *testing.T) {
	clock, log, path := testkit.NewClock(), new(lines), newPath(t)
	options := []api.Option{api.WithClock(clock), api.WithLogger(slog.New(slog.NewTextHandler(log, nil))), api.WithPurgeInterval(time.Hour)}
	store := openStore(t, path, options...)
	require.NoError(t, store.SetWithTTL("g", "k", "v", time.Minute, api.NotifyOnExpiry("closer")))
	require.NoError(t, store.Close())
	execute(t, path, "UPDATE entries SET expires_at = 'soon' WHERE expires_at IS NULL") // the timer's row
	store = openStore(t, path, options...)
	clock.Advance(time.Hour)
	// What is rolled back is not counted.
	_, err := store.Batch(new(api.Batch).DeleteGroup("g").Persist("g", "absent"))
	require.ErrorIs(t, err, api.NotFoundError)
	require.Zero(t, store.DroppedMessages())
	removed, err := store.PurgeExpired()
	require.NoError(t, err)
	require.EqualValues(t, 1, removed)
	require.Equal(t, api.DroppedMessages{LostTimers: 1}, store.DroppedMessages())
	testkit.Until(t, "the log says so", func() bool { return strings.Contains(log.text(), "a timer is damaged") })
	groups, err := store.Groups("")
	require.NoError(t, err)
	require.Empty(t, groups)
}

// TestAQuotaAndMessages: messages are the whole store's and count for no namespace, and so do
// timers, of which there is one for a key at most. At its limit a namespace tells, sets
// timers for the keys that it has, and is told.
func TestAQuotaAndMessages(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithPurgeInterval(time.Hour))
		acme := newScope(t, store, "acme", api.QuotaConfig{MaxKeys: 2, MaxGroups: 1})
		require.NoError(t, acme.Set("g", "stays", "v"))
		require.NoError(t, acme.Set("g", "k", "v"))
		for range 5 {
			require.NoError(t, acme.Tell("closer", "m"))
			require.NoError(t, acme.SetWithTTL("g", "k", "v", time.Minute, api.NotifyOnExpiry("closer")))
			clock.Advance(time.Second) // each timer has another row
		}
		require.Equal(t, 1, second(store.CountAll(api.TimersPrefix)), "one for a key")
		full := func() {
			t.Helper()
			require.ErrorIs(t, acme.Set("g", "one more", "v"), api.QuotaExceededError)
			require.ErrorIs(t, acme.Set("h", "k", "v"), api.QuotaExceededError)
			require.Equal(t, api.Usage{Keys: 2, Groups: 1}, second(store.Usage("acme")))
		}
		full()
		_, err := acme.Batch(new(api.Batch).Tell("closer", "refused").Set("h", "k", "v"))
		require.ErrorIs(t, err, api.QuotaExceededError)
		require.Len(t, second(store.OutboxPage("acme:closer", "", 100)), 5)

		// The place of a key that has expired is free, and its message takes none.
		clock.Advance(time.Hour)
		require.NoError(t, acme.Set("g", "l", "v"))
		full()
		page := second(store.OutboxPage("acme:closer", "", 100))
		require.Len(t, page, 6)
		require.Equal(t, "acme:g", page[5].Expired.Group)
		require.Zero(t, second(store.CountAll(api.TimersPrefix)))
		require.NoError(t, store.Bury(page[0], "why not", 1))
		full()
	})
}

// lines is a log.
type lines struct {
	sync.Mutex
	all strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.all.Write(p)
}

func (l *lines) text() string {
	l.Lock()
	defer l.Unlock()
	return l.all.String()
}

// TestWritesThatNotifyOfNothing: an address is told of an end that there is.
func TestWritesThatNotifyOfNothing(t *testing.T) {
	for _, o := range []kv.Operation{{Kind: kv.Set, Notifies: true, Notify: "a"}, {Kind: kv.Delete, Notifies: true, Notify: "a", HasTTL: true}} {
		require.ErrorIs(t, kv.NewWrites([]kv.Operation{o}, nil).Check(), kv.InvalidOptionError)
	}
	require.NoError(t, kv.NewWrites([]kv.Operation{{Kind: kv.Set, Notifies: true, Notify: "a", HasTTL: true}}, nil).Check())
}
