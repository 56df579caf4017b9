package writer

import (
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// TestLargeValuesAreNotReadForWhatStandsBesideThem: a batch of a few bytes that names a
// large value again and again reads it no more often than its writes need it.
func TestLargeValuesAreNotReadForWhatStandsBesideThem(t *testing.T) {
	const size, many = 8 << 20, 2000
	eachStorage(t, func(t *testing.T, path string) {
		b := start(t, options{path: path})
		large := kv.Mutation{Kind: kv.Set, Group: "g", Key: "k", Value: strings.Repeat("v", size)}
		require.NoError(t, b.apply(large).err)
		require.NoError(t, b.apply(set("g", "other")).err)
		read := func(m kv.Mutation) (values, heads int, err error) {
			b.settle()
			b.faulty.values, b.faulty.heads = 0, 0
			err = b.apply(m).err
			b.settle()
			return b.faulty.values, b.faulty.heads, err
		}

		present := kv.Mutation{Kind: kv.Batch}
		for range many {
			present.Conditions = append(present.Conditions, kv.Condition{Group: "g", Key: "k", Revision: kv.AnyRevision})
		}
		values, heads, err := read(present)
		require.NoError(t, err)
		require.Zero(t, values)
		require.Equal(t, 1, heads)

		touches := func(n int, touch kv.Mutation) kv.Mutation {
			m := kv.Mutation{Kind: kv.Batch}
			for range n {
				m.Operations = append(m.Operations, touch.Operation())
			}
			return m
		}
		touch := kv.Mutation{Kind: kv.Touch, Group: "g", Key: "k"}
		values, heads, err = read(touches(endBatch/size, touch))
		require.NoError(t, err)
		require.Zero(t, values, "it never expires, and is to stay so")
		require.Equal(t, endBatch/size, heads)
		values, heads, err = read(touches(many, touch))
		require.ErrorIs(t, err, kv.TooLargeError)
		require.Zero(t, values)
		require.Equal(t, endBatch/size+1, heads)

		values, _, err = read(touches(many, ttl(touch, time.Hour)))
		require.ErrorIs(t, err, kv.TooLargeError)
		require.Equal(t, size, values, "all happen at one moment: the first alone changes the deadline")

		// The same while rows may have expired, so that every write looks for one.
		require.NoError(t, b.apply(ttl(set("h", "k"), -time.Second)).err)
		values, heads, err = read(present)
		require.NoError(t, err)
		require.Zero(t, values)
		require.Equal(t, 1, heads)
		values, _, err = read(kv.Mutation{Kind: kv.Delete, Group: "g", Key: "k"})
		require.NoError(t, err)
		require.Zero(t, values)
	})
}

// TestConditionsOnDeadRows: a dead row that conditions name is removed once, with its value
// in its event, and whatever names it again finds nothing.
func TestConditionsOnDeadRows(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		b := start(t, options{path: path})
		value := strings.Repeat("v", 2*keptTouched)
		dead := ttl(kv.Mutation{Kind: kv.Set, Group: "g", Key: "k", Value: value}, time.Second)
		require.NoError(t, b.apply(dead).err)
		b.source.Advance(time.Minute)
		absent := kv.Condition{Group: "g", Key: "k"}
		got := b.apply(kv.Mutation{Kind: kv.Batch, Conditions: []kv.Condition{absent, absent}, Operations: items("g", "k")})
		require.NoError(t, got.err)
		require.Equal(t, []string{"expire g/k", "set g/k"}, kinds(got.Events))
		require.Equal(t, value, got.Events[0].Value)
	})
}
