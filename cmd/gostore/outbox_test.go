package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

func TestOutbox(t *testing.T) {
	db := filled(t, func(batch *api.Batch) {
		batch.Tell("orders", "first").Tell("orders", "a\tb\xff").Tell("closer", "third").
			SetWithTTL("sessions", "ada", "state", -time.Second, api.NotifyOnExpiry("closer"))
	})
	store, err := api.New(db)
	require.NoError(t, err)
	_, err = store.PurgeExpired()
	require.NoError(t, err)
	told, err := store.OutboxPage("orders", "", 10)
	require.NoError(t, err)
	first, second := told[0].ID, told[1].ID
	require.NoError(t, store.Close())
	outbox := func(arguments ...string) outcome {
		return gostore(append([]string{"outbox", arguments[0], "--db", db}, arguments[1:]...)...)
	}

	list := strings.Split(outbox("list").stdout, "\n")
	require.Len(t, list, 3)
	assert.True(t, strings.HasPrefix(list[0], "closer\t2\t000000000000000100000002"), list[0])
	assert.True(t, strings.HasPrefix(list[1], "orders\t2\t"+first+"\t2"), list[1])
	assert.Contains(t, outbox("list", "--json").stdout, `{"address":"orders","messages":2,"oldest":"`+first+`","at_ms":1`)
	assert.Equal(t, printed(first+"\tfirst\n"+second+"\t"+`a\tb\xff`+"\n"), outbox("show", "orders"))
	assert.Equal(t, printed(first+"\tfirst\n"), outbox("show", "orders", first))
	assert.Contains(t, outbox("show", "--json", "orders", second).stdout, `,"payload64":"YQli/w=="}`)
	assert.Contains(t, outbox("show", "closer").stdout, "\texpired\tsessions\tada\tstate\n")
	assert.Contains(t, outbox("show", "--json", "closer").stdout, `"expired_group":"sessions","expired_key":"ada","expired_value":"state","expired_ms":1`)
	assert.Equal(t, printed(""), outbox("show", "nobody"))
	assert.Equal(t, printed(""), outbox("list", "--dead"))

	store, err = api.New(db)
	require.NoError(t, err)
	page, err := store.OutboxPage("orders", "", 10)
	require.NoError(t, err)
	for _, m := range page {
		require.NoError(t, store.Bury(m, "no\nbody", 20))
	}
	require.NoError(t, store.Close())
	assert.Contains(t, outbox("list", "--dead").stdout, "orders\t2\t"+first+"\t2")
	assert.Equal(t, printed(first+"\t20\t"+`no\nbody`+"\tfirst\n"), outbox("dead", "orders", first))
	assert.Contains(t, outbox("dead", "--json", "orders", first).stdout, `"payload":"first","attempts":20,"reason":"no\nbody","died_ms":1`)
	assert.Equal(t, printed("1\n"), outbox("retry", "orders", second))
	assert.Equal(t, printed(second+"\t"+`a\tb\xff`+"\n"), outbox("show", "orders"))
	assert.Equal(t, printed("1\n"), outbox("drop", "orders", second))
	assert.Equal(t, printed(""), outbox("show", "orders"))
	assert.Equal(t, printed("1\n"), outbox("drop", "--dead", "--all", "orders"))
	assert.Equal(t, printed(""), outbox("list", "--dead"))
	assert.Equal(t, printed("2\n"), outbox("drop", "--all", "closer"))
	assert.Equal(t, printed("0\n"), outbox("retry", "orders"))

	assert.Equal(t, failed, outbox("drop", "orders", "absent").code)
	for _, wrong := range [][]string{{"drop", "orders"}, {"drop", "--all", "orders", "id"}, {"show"}, {"list", "orders"}, {"retry"}, {"nonsense"}} {
		assert.Equal(t, misused, outbox(wrong...).code, wrong)
	}
	assert.Equal(t, failed, gostore("outbox", "list", "--db", filepath.Join(t.TempDir(), "absent.db")).code)
}

// What gostore exports and imports brings messages and timers with it.
func TestOutbox_ExportAndImport(t *testing.T) {
	db := filled(t, func(batch *api.Batch) {
		batch.Tell("orders", "first").SetWithTTL("sessions", "ada", "state", time.Hour, api.NotifyOnExpiry("closer"))
	})
	exported := gostore("export", "--db", db)
	require.Zero(t, exported.code)
	to := filepath.Join(t.TempDir(), "to.db")
	imported := gostoreReading(t.Context(), strings.NewReader(exported.stdout), "import", "--db", to, "-")
	require.Zero(t, imported.code, imported.stderr)
	for _, arguments := range [][]string{{"outbox", "show", "orders"}, {"list", "\x00timers:sessions"}, {"list", "--json", "sessions"}} {
		there := gostore(append(arguments[:len(arguments):len(arguments)], "--db", db)...)
		assert.NotEmpty(t, there.stdout, arguments)
		assert.Equal(t, there, gostore(append(arguments[:len(arguments):len(arguments)], "--db", to)...), arguments)
	}
}
