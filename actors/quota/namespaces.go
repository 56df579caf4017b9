package quota

import (
	"cmp"
	"context"
	"slices"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/kv"
)

// namespaces asks for all that is known; reply has room for the answer.
type namespaces struct {
	actorsystem.Quiet
	reply chan []kv.NamespaceUsage
}

func (m namespaces) handle(a *Actor) {
	m.reply <- a.board.all()
}

// Namespaces is what is booked for each namespace that is counted, in the order of
// their names.
func (r Ref) Namespaces(ctx context.Context) ([]kv.NamespaceUsage, error) {
	reply := make(chan []kv.NamespaceUsage, 1)
	r.to.Send(namespaces{reply: reply})
	select {
	case all := <-reply:
		slices.SortFunc(all, func(a, b kv.NamespaceUsage) int { return cmp.Compare(a.Namespace, b.Namespace) })
		return all, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.done:
		return nil, kv.ClosedError
	case <-r.dead:
		return nil, kv.ClosedError
	}
}
