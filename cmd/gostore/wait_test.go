package main

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

func TestAwaited(t *testing.T) {
	denied := errors.New("denied")
	for _, wait := range []time.Duration{0, time.Hour} {
		a := &app{wait: wait}
		_, err := a.awaited(context.Background(), func() (*api.Store, error) { return nil, denied })
		assert.ErrorIs(t, err, denied)
		store, err := a.awaited(context.Background(), func() (*api.Store, error) { return api.New(":memory:") })
		require.NoError(t, err)
		require.NoError(t, store.Close())
	}
}

// Ctrl-C ends the wait; the store that comes too late is closed.
func TestAwaited_Interrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(context.Background())
	db := filepath.Join(t.TempDir(), "s.db")
	begun, free := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		_, err := (&app{wait: time.Hour}).awaited(ctx, func() (*api.Store, error) {
			close(begun)
			<-free
			return api.New(db)
		})
		ended <- err
	}()
	<-begun
	interrupt()
	assert.ErrorIs(t, <-ended, errInterrupted)
	close(free)
	require.Eventually(t, func() bool {
		store, err := api.New(db)
		return err == nil && store.Close() == nil
	}, 20*time.Second, time.Millisecond, "it is closed again")
}

func TestWait_IsChecked(t *testing.T) {
	for _, command := range [][]string{{"get", "g", "k"}, {"set", "g", "k", "v"}, {"version"}} {
		db := filepath.Join(t.TempDir(), "s.db")
		got := gostore(append(command, "--db", db, "--wait", "-1s")...)
		assert.Equal(t, outcome{misused, "", "gostore: --wait -1s: use 0 or more; see 'gostore " + command[0] + " --help'\n"}, got)
		assert.NoFileExists(t, db)
	}
	db := filepath.Join(t.TempDir(), "s.db")
	assert.Equal(t, printed(""), gostore("set", "--db", db, "--wait", "5s", "g", "k", "v"))
	assert.Equal(t, printed("v\n"), gostore("--wait", "5s", "get", "--db", db, "g", "k"))
}
