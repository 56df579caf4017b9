package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// transact runs a transaction of which every attempt counts a range, has others do
// something elsewhere, and writes.
func transact(t *testing.T, e *Engine, r kv.Range, elsewhere func(attempt int)) (attempts int, err error) {
	t.Helper()
	testkit.Within(t, "the transaction", func() {
		err = e.Transaction(context.Background(), "", kv.QuotaConfig{}, func(tx *Transaction) error {
			attempts++
			n, err := tx.Count(r)
			if err != nil {
				return err
			}
			elsewhere(attempts)
			return tx.Set("g", fmt.Sprint(n), "v", false, 0)
		})
	})
	return attempts, err
}

// TestATransactionDoesNotStarve: what others do elsewhere is no conflict, however
// short the log is and however much they write.
func TestATransactionDoesNotStarve(t *testing.T) {
	large := strings.Repeat("v", 2<<20)
	for name, test := range map[string]struct {
		retention kv.Retention
		elsewhere func(t *testing.T, e *Engine, attempt int)
	}{
		"one revision": {kv.Retention{Revisions: 1}, func(t *testing.T, e *Engine, _ int) {
			for range 5 {
				must(t, e, set("h", "k", "v"))
			}
		}},
		"few bytes": {kv.Retention{Bytes: 1}, func(t *testing.T, e *Engine, _ int) {
			must(t, e, set("a", "k", "v"))
			must(t, e, kv.Mutation{Kind: kv.DeleteGroup, Group: "a"})
		}},
		"large values": {kv.Retention{Bytes: 3 << 20}, func(t *testing.T, e *Engine, _ int) {
			for range 3 {
				must(t, e, set("h", "k", large))
			}
		}},
		"very many groups": {kv.Retention{Revisions: 1}, func(t *testing.T, e *Engine, attempt int) {
			for batch := range 3 {
				m := kv.Mutation{Kind: kv.Batch}
				for i := range 2000 {
					m.Operations = append(m.Operations, kv.Operation{Kind: kv.Set, Group: fmt.Sprint("h", attempt, batch, i), Key: "k"})
				}
				must(t, e, m)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			eachStorage(t, func(t *testing.T, path string) {
				e := open(t, Config{Path: path, Retention: test.retention, Durability: kv.DurabilityBuffered})
				must(t, e, set("g", "k", "v"))
				for i := range 3 {
					attempts, err := transact(t, e, kv.GroupRange("g"), func(attempt int) { test.elsewhere(t, e, attempt) })
					require.NoError(t, err)
					require.LessOrEqual(t, attempts, 2, "it is run again once at most")
					require.Equal(t, testkit.Present("v"), value(t, e, "g", fmt.Sprint(i+1)))
				}
				// What is a conflict still is one, each time.
				attempts, err := transact(t, e, kv.GroupRange("g"), func(attempt int) {
					test.elsewhere(t, e, attempt)
					must(t, e, set("g", "k", fmt.Sprint(attempt)))
				})
				var conflict *kv.ConflictError
				require.ErrorAs(t, err, &conflict)
				require.Equal(t, maxAttempts, attempts)
				// And one that ends.
				attempts, err = transact(t, e, kv.PrefixRange("g"), func(attempt int) {
					test.elsewhere(t, e, attempt)
					if attempt < 4 {
						must(t, e, set("g2", "k", fmt.Sprint(attempt)))
					}
				})
				require.NoError(t, err)
				require.Equal(t, 4, attempts)
				require.Zero(t, watchers(e))
			})
		})
	}
}

// TestATransactionThatScansElsewhereEachTime: what it has scanned before is watched too,
// and changes there are told from those in what it scans now.
func TestATransactionThatScansElsewhereEachTime(t *testing.T) {
	e := open(t, Config{Retention: kv.Retention{Revisions: 1}})
	attempts := 0
	testkit.Within(t, "the transaction", func() {
		err := e.Transaction(context.Background(), "", kv.QuotaConfig{}, func(tx *Transaction) error {
			attempts++
			// Two groups of four in turn, of which others change the two others.
			for i := range 2 {
				if _, err := tx.Count(kv.GroupRange(fmt.Sprint("g", (2*attempts+i)%4))); err != nil {
					return err
				}
			}
			for i := range 2 {
				must(t, e, set(fmt.Sprint("g", (2*attempts+2+i)%4), "k", fmt.Sprint(attempts)))
			}
			return tx.Set("done", "k", "v", false, 0)
		})
		if err != nil {
			t.Error(err)
		}
	})
	require.LessOrEqual(t, attempts, 3)
}

func watchers(e *Engine) int { return e.actors.writer.Watching() }

// TestTransactionsAreSerialWithoutALog: many at a time count a group and add to it, with
// the writer failing at every step of a commit. Each counts what the others have made.
func TestTransactionsAreSerialWithoutALog(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		const callers, each = 8, 12
		faults := testkit.NewFaults()
		e := open(t, Config{Path: path, Retention: kv.Retention{Revisions: 1}, Durability: kv.DurabilityBuffered, Failpoint: faults.Hook})
		steps := []string{"writer.begin", "writer.apply", "writer.commit", "writer.committed", "writer.publish"}
		var all sync.WaitGroup
		for caller := range callers {
			all.Go(func() {
				for i := range each {
					if caller == 0 {
						faults.Plan(steps[i%len(steps)], 1)
					}
					name := fmt.Sprint(caller, "-", i)
					for done := false; !done; {
						err := e.Transaction(context.Background(), "", kv.QuotaConfig{}, func(tx *Transaction) error {
							if _, err := tx.Get("done", name); err == nil {
								return nil // one whose outcome was not known
							}
							n, err := tx.Count(kv.PrefixRange("count"))
							if err != nil {
								return err
							}
							if err := tx.Set("done", name, "v", false, 0); err != nil {
								return err
							}
							return tx.Set("count"+fmt.Sprint(n%7), fmt.Sprint(n), name, false, 0)
						})
						done = err == nil
					}
				}
			})
		}
		testkit.Within(t, "the transactions", all.Wait)
		n, err := e.Count(t.Context(), kv.PrefixRange("count"))
		require.NoError(t, err)
		require.Equal(t, callers*each, n, "two have counted the same")
		for i := range n {
			_, err := e.Get(t.Context(), fmt.Sprint("count", i%7), fmt.Sprint(i))
			require.NoError(t, err)
		}
		require.Zero(t, watchers(e))
	})
}
