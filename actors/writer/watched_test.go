package writer

import (
	"testing"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// TestAMutationOutlivesItsWatch: of a transaction whose caller has left it is not known
// what has changed in its ranges since, so that it may not be committed.
func TestAMutationOutlivesItsWatch(t *testing.T) {
	b := start(t, options{})
	before := b.apply(set("g", "k"))
	require.NoError(t, before.err)
	count := kv.GroupRange("g")
	m := kv.Mutation{Kind: kv.Batch, Operations: []kv.Operation{{Kind: kv.Set, Group: "h", Key: "k"}}}
	var release func()
	m.Watched, release = b.Watch([]kv.Range{count})
	m.Unchanged = []kv.Unchanged{{Range: count, Revision: before.Revision, Now: b.source.Now().UnixMilli()}}
	require.NoError(t, b.apply(m).err)
	release()
	require.NoError(t, b.apply(set("g", "other")).err)
	require.ErrorIs(t, b.apply(m).err, kv.ChangedError)
}
