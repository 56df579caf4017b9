package stress

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

func serveForTest(path string, lazy bool) error {
	target, err := Open(path)
	if err != nil {
		return err
	}
	if lazy {
		l := &lazyTarget{Target: target}
		l.mu.values = map[[2]string]string{}
		target = l
	}
	return serve(target, os.Stdin, os.Stdout)
}

// lazyTarget writes the keys of callers' own a while after it has acknowledged
// them. Whoever asks it meanwhile is told what it remembers.
type lazyTarget struct {
	Target
	mu struct {
		sync.Mutex
		values map[[2]string]string // not written yet
	}
}

func (l *lazyTarget) Do(call Call) Answer {
	at := [2]string{call.Group, call.Key}
	l.mu.Lock()
	value, pending := l.mu.values[at]
	switch {
	case call.Kind == Set && !pending && len(call.Group) > 4 && call.Group[:4] == "own-":
		l.mu.values[at] = call.Value
		l.mu.Unlock()
		time.AfterFunc(50*time.Millisecond, func() {
			l.Target.Do(call)
			l.mu.Lock()
			delete(l.mu.values, at)
			l.mu.Unlock()
		})
		return Answer{}
	case call.Kind == Get && pending:
		l.mu.Unlock()
		return Answer{Value: value}
	}
	l.mu.Unlock()
	return l.Target.Do(call)
}

func spawn(t *testing.T, kind string) Target {
	program, err := os.Executable()
	require.NoError(t, err)
	target, err := Spawn(program, "serve", filepath.Join(t.TempDir(), "killed.db"), kind)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, target.Close()) })
	return target
}

func TestRun_AHealthyStoreSurvivesItsProcess(t *testing.T) {
	result := Run(context.Background(), spawn(t, "healthy"), Config{Seed: 1, Callers: 16, Duration: time.Second})
	assert.Empty(t, result.Findings)
	assert.NotZero(t, result.Acknowledged)
	assert.NotZero(t, result.Killed.Kills)
	assert.True(t, result.Reopened)
}

// What an acknowledged write is worth shows when the process is killed.
func TestRun_CatchesAWriteThatAKillLoses(t *testing.T) {
	result := Run(context.Background(), spawn(t, "lazy"), untilCaught(20_000))
	assert.NotZero(t, result.Violations[LostWrite], result.Findings)
}

// A process that ends by itself is none that was killed.
func TestRun_CatchesAStoreThatEndsByItself(t *testing.T) {
	target := spawn(t, "healthy").(*remote)
	process, err := target.current()
	require.NoError(t, err)
	require.NoError(t, process.command.Process.Kill()) // behind its back
	<-process.gone
	answer := target.Do(Call{Kind: Get, Group: "g", Key: "k"})
	assert.ErrorIs(t, answer.Err, errGone)
	require.NoError(t, target.Reopen())
	assert.ErrorIs(t, target.Do(Call{Kind: Get, Group: "g", Key: "k"}).Err, api.NotFoundError)
}

func TestSpawn_AProgramThatCannotServe(t *testing.T) {
	_, err := Spawn(filepath.Join(t.TempDir(), "missing"))
	assert.Error(t, err)
	program, err := os.Executable()
	require.NoError(t, err)
	_, err = Spawn(program, "serve", filepath.Join(t.TempDir(), "no", "folder.db"), "healthy")
	assert.ErrorContains(t, err, "does not exist")
}
