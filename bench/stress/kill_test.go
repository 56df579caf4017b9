package stress

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// serveForTest serves a store. A forgetful one has lost a write of every caller
// whenever it is opened.
func serveForTest(path string, forgetful bool) error {
	target, err := Open(path)
	if err != nil {
		return err
	}
	if forgetful {
		for _, group := range target.Do(Call{Kind: Groups, Group: "own-"}).Names {
			rows := target.Do(Call{Kind: GetAll, Group: group}).Rows
			if err := target.Do(Call{Kind: Delete, Group: group, Key: rows[0].Key}).Err; err != nil {
				return err
			}
		}
	}
	return serve(target, os.Stdin, os.Stdout)
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
	result := Run(context.Background(), spawn(t, "forgetful"), bounded(1_000))
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
