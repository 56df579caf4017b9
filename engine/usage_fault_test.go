package engine

import (
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// A caller that was answered by a writer that has failed behind COMMIT, or within it, finds what
// it has written in its namespace's use, also before the next writer has begun.
func TestUsageBehindAWriterThatFails(t *testing.T) {
	for _, step := range []string{"writer.committed", "writer.publish", "cache.committed"} {
		t.Run(step, func(t *testing.T) {
			var armed, failed atomic.Bool
			begun, resume, asked := make(chan struct{}), make(chan struct{}), make(chan struct{}, 8)
			e := open(t, Config{Failpoint: func(hit string) {
				switch {
				case hit == step && armed.Swap(false):
					failed.Store(true)
					panic("a failure behind COMMIT")
				case hit == "writer.start" && failed.Swap(false):
					close(begun)
					<-resume
				case hit == "quota.usage":
					asked <- struct{}{}
				}
			}})
			quota := kv.QuotaConfig{MaxKeys: 10}
			must(t, e, within(set("n:g", "k", "v"), "n", quota))
			usage, err := e.Usage(t.Context(), "n")
			require.NoError(t, err)
			require.Equal(t, kv.Usage{Keys: 1, Groups: 1}, usage)
			testkit.Await(t, "the question", asked)

			armed.Store(true)
			_, _ = apply(t, e, within(set("n:h", "k", "v"), "n", quota)) // it is there, or may be
			testkit.Await(t, "the next writer", begun)
			answer := make(chan kv.Usage, 1)
			go func() {
				usage, err := e.Usage(t.Context(), "n")
				if err != nil {
					t.Errorf("Usage: %v", err)
				}
				answer <- usage
			}()
			testkit.Await(t, "the question", asked)
			close(resume)
			require.Equal(t, kv.Usage{Keys: 2, Groups: 2}, testkit.Await(t, "the use", answer))
		})
	}
}
