package writer

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// guarded is a buffer for a log that several goroutines write.
type guarded struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (g *guarded) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(p)
}

func (g *guarded) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.String()
}

// TestSlowCommitsAreToldOf, but not each of them.
func TestSlowCommitsAreToldOf(t *testing.T) {
	defer func(was time.Duration) { slowCommit = was }(slowCommit)
	slowCommit = 0
	log := new(guarded)
	b := start(t, options{log: slog.NewTextHandler(log, nil)})
	for range 5 {
		require.NoError(t, b.apply(kv.Mutation{Kind: kv.Set, Group: "g", Key: "k", Value: "v"}).err)
	}
	b.close()
	require.Equal(t, 1, strings.Count(log.String(), "a commit took long"))
	require.Contains(t, log.String(), "requests=1")
}
