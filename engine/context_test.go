package engine

import (
	"context"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// spy is a context of a kind of its own, which may do anything in its methods. No actor
// is to call one.
type spy struct {
	context.Context
	t *testing.T
}

func (s spy) look() {
	stack := make([]byte, 64<<10)
	if text := string(stack[:runtime.Stack(stack, false)]); strings.Contains(text, "actor.(*defaultMailbox)") {
		s.t.Errorf("an actor asks a caller's context:\n%s", text)
	}
}

func (s spy) Deadline() (time.Time, bool) { s.look(); return s.Context.Deadline() }
func (s spy) Done() <-chan struct{}       { s.look(); return s.Context.Done() }
func (s spy) Err() error                  { s.look(); return s.Context.Err() }
func (s spy) Value(key any) any           { s.look(); return s.Context.Value(key) }

// TestNoActorAsksACallersContext, which may block.
func TestNoActorAsksACallersContext(t *testing.T) {
	e := open(t, Config{Path: filepath.Join(t.TempDir(), "store.db")})
	inner, cancel := context.WithCancel(context.Background())
	defer cancel()
	ctx := spy{inner, t}
	quota := kv.QuotaConfig{MaxKeys: 100}
	for _, m := range []kv.Mutation{set("g", "k", "v"), within(set("n:g", "k", "v"), "n", quota), ttl(set("g", "l", "v"), time.Hour)} {
		_, err := e.Apply(ctx, m)
		require.NoError(t, err)
	}
	_, err := e.PurgeExpired(ctx, kv.PrefixRange(""))
	require.NoError(t, err)
	_, err = e.Usage(ctx, "n")
	require.NoError(t, err)
	_, err = e.Usage(ctx, "another")
	require.NoError(t, err)
	require.NoError(t, e.Transaction(ctx, "", kv.QuotaConfig{}, func(tx *Transaction) error {
		if _, err := tx.Count(kv.PrefixRange("")); err != nil {
			return err
		}
		return tx.Set("g", "m", "v", false, 0)
	}))
	for event, err := range e.Subscribe(ctx, ctx, kv.SubscribeOptions{From: 1}) {
		require.NoError(t, err)
		if event.Key == "m" {
			break
		}
	}
	_, err = e.Compact(ctx, Operation{})
	require.NoError(t, err)
	_, err = e.Compact(ctx, Operation{Progress: func(int64, int64) {}})
	require.NoError(t, err)
}
