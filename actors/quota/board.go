package quota

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"forge.lthn.ai/core/go-store/kv"
)

// board is what is known of the namespaces, where others may look at it. The actor alone
// changes it.
type board struct {
	mu struct {
		sync.Mutex
		known map[string]kv.NamespaceUsage
	}
}

func newBoard() *board {
	b := new(board)
	b.mu.known = make(map[string]kv.NamespaceUsage)
	return b
}

func (b *board) set(n kv.NamespaceUsage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.known[n.Namespace] = n
}

func (b *board) of(namespace string) (n kv.NamespaceUsage, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, known = b.mu.known[namespace]
	return n, known
}

func (b *board) all() []kv.NamespaceUsage {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.AppendSeq(make([]kv.NamespaceUsage, 0, len(b.mu.known)), maps.Values(b.mu.known))
}

func (b *board) forget(namespace string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.mu.known, namespace)
}

func (b *board) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.mu.known)
}

// Fullest is the namespaces with limits, the fullest first and no more than most of them, and
// how many namespaces are counted. It waits for a list's lock alone.
func (r Ref) Fullest(most int) (limited []kv.QuotaMetrics, counted int) {
	b := r.board
	b.mu.Lock()
	counted = len(b.mu.known)
	for _, n := range b.mu.known {
		if n.Quota.MaxKeys > 0 || n.Quota.MaxGroups > 0 {
			limited = append(limited, metricsOf(n))
		}
	}
	b.mu.Unlock()
	slices.SortFunc(limited, func(a, b kv.QuotaMetrics) int {
		return cmp.Or(cmp.Compare(b.Used(), a.Used()), strings.Compare(a.Namespace, b.Namespace))
	})
	return slices.Clip(limited[:min(len(limited), most)]), counted
}

// Of is what is known of one namespace.
func (r Ref) Of(namespace string) (q kv.QuotaMetrics, known bool) {
	n, known := r.board.of(namespace)
	if !known {
		return q, false
	}
	return metricsOf(n), true
}

func metricsOf(n kv.NamespaceUsage) kv.QuotaMetrics {
	return kv.QuotaMetrics{Namespace: n.Namespace, Keys: n.Usage.Keys, Groups: n.Usage.Groups, MaxKeys: n.Quota.MaxKeys, MaxGroups: n.Quota.MaxGroups}
}
