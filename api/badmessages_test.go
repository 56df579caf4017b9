package api_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/stretchr/testify/require"
)

// TestBadMessagesAreAnsweredOrCounted: whatever an actor is sent, with a sender or without,
// is refused by name or counted and logged, without what it holds; the actor is not started
// anew for it, and goes on.
func TestBadMessagesAreAnsweredOrCounted(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		system, log := newQuiet(t), new(logText)
		store := open(api.WithActorSystem(system.ActorSystem), api.WithLogger(slog.New(slog.NewTextHandler(log, nil))),
			api.WithSizeLimits(api.SizeLimits{Group: 100, Key: 100, Value: 1000}))
		pid := pidOf(t, store)
		c := newClient(t, system.ActorSystem, pid)
		large := strings.Repeat(secret, 100)

		type what struct {
			message any
			is      error
		}
		unknown := []any{secret, 7, struct{ Value string }{secret}, &struct{}{}, func() {}, make(chan int), []byte(secret),
			protocol.SetDone{ID: 1}, protocol.Busy{}, protocol.Event{}, (*protocol.Tell)(nil), map[string]string{"k": secret}}
		refused := []what{
			{protocol.Set{ID: 1, Group: "g", Key: "k", Value: large}, api.TooLargeError},
			{protocol.Set{ID: 1, Group: "g", Key: large}, api.TooLargeError},
			{protocol.Tell{ID: 1, Address: "a", Message: large}, api.TooLargeError},
			{protocol.Tell{ID: 1, Message: secret}, api.InvalidAddressError},
			{protocol.Tell{ID: 1, Address: strings.Repeat("a", 1025)}, api.InvalidAddressError},
			{protocol.SetWithTTL{ID: 1, Group: "g", Key: "k", Value: large, TimeToLive: time.Hour}, api.TooLargeError},
			{protocol.SetWithTTL{ID: 1, Group: "g", Key: "k", TimeToLive: time.Hour, NotifyOnExpiry: "\x00"}, api.InvalidAddressError},
			{protocol.CompareAndSet{ID: 1, Group: large, Key: "k"}, api.TooLargeError},
			{protocol.Batch{ID: 1, Writes: new(api.Batch).Set("g", "k", large).Writes()}, api.TooLargeError},
			{protocol.Batch{ID: 1, Writes: new(api.Batch).Tell("", "m").Writes()}, api.InvalidAddressError},
			{protocol.Scan{ID: 1, Limit: -1}, api.InvalidScanError},
			{protocol.Scan{ID: 1, Cursor: large}, api.InvalidCursorError},
			{protocol.Usage{ID: 1, Namespace: large}, api.InvalidNamespaceError},
			{protocol.OpenNamespace{ID: 1, Name: "no:name"}, api.InvalidNamespaceError},
			{protocol.OpenNamespace{ID: 1, Name: "n", Quota: api.QuotaConfig{MaxKeys: -1}}, api.InvalidQuotaError},
			{protocol.Subscribe{ID: 1, Credits: -1}, api.InvalidOptionError},
			{protocol.Subscribe{ID: 1, Options: api.SubscribeOptions{Buffer: -1}}, api.InvalidOptionError},
			{protocol.Credit{ID: 1, N: 1}, api.NotSubscribedError},
			{protocol.Unsubscribe{ID: 1}, api.NotSubscribedError},
		}
		for _, message := range unknown {
			require.ErrorIs(t, c.ask(message).(protocol.Failed).Err, api.UnknownMessageError, "%T", message)
			system.Root.Send(pid, message)
		}
		for _, each := range refused {
			require.ErrorIs(t, c.ask(each.message).(protocol.Reply).Failure(), each.is, "%T", each.message)
			system.Root.Send(pid, each.message)
		}
		// It goes on. (Forged messages of the library's: see TestMessagesThatAreNone.)
		done[protocol.SetDone](c, protocol.Set{ID: 1, Group: "g", Key: "k", Value: "v"})
		drops := store.DroppedMessages()
		require.GreaterOrEqual(t, drops.Unknown, uint64(len(unknown)))
		require.GreaterOrEqual(t, drops.Unsent, uint64(len(unknown)+len(refused)))
		require.Contains(t, log.String(), "it has no sender")
		require.Contains(t, log.String(), "it is none of the protocol")
		require.NotContains(t, log.String(), "failed")
		require.NotContains(t, log.String(), secret)
	})
}
