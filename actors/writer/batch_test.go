package writer

import (
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// flushGate holds the writer at the beginning of a commit, so that what is
// sent meanwhile makes one batch.
type flushGate struct {
	pause *testkit.Pause
	armed chan struct{}
}

func newFlushGate() *flushGate {
	g := &flushGate{pause: testkit.NewPause("writer.begin"), armed: make(chan struct{}, 1)}
	return g
}

func (g *flushGate) hook(step string) {
	if step != "writer.begin" {
		return
	}
	select {
	case <-g.armed:
		g.pause.Hook(step)
		g.pause.Again()
	default:
	}
}

// together applies mutations in one commit, in their order.
func (g *flushGate) together(b *bench, mutations ...kv.Mutation) []result {
	b.t.Helper()
	g.armed <- struct{}{}
	blocker := b.send(kv.Mutation{Kind: kv.Delete, Group: "nobody's", Key: "k"})
	testkit.Await(b.t, "the commit before", g.pause.Reached)
	var waiting []<-chan result
	for _, m := range mutations {
		waiting = append(waiting, b.send(m))
	}
	g.pause.Resume <- struct{}{}
	require.NoError(b.t, testkit.Await(b.t, "the commit before", blocker).err)
	var results []result
	for _, w := range waiting {
		results = append(results, testkit.Await(b.t, "a mutation of the batch", w))
	}
	return results
}
