package quota

import (
	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/kv"
)

// Message is everything that the quota actor understands.
type Message interface {
	IgnoreDeadLetterLogging()
	handle(*Actor)
}

// connect tells the actor where the accounts are kept.
type connect struct {
	actorsystem.Quiet
	accounts Accounts
}

// committed is the fact that namespaces changed.
type committed struct {
	actorsystem.Quiet
	usage []kv.NamespaceUsage
}

// forgotten is the fact that namespaces are not counted any more.
type forgotten struct {
	actorsystem.Quiet
	namespaces []string
}

// resynchronise replaces all that the actor knows.
type resynchronise struct {
	actorsystem.Quiet
	usage []kv.NamespaceUsage
}

// count asks for a namespace to be counted in a snapshot. Whatever happens,
// the snapshot is closed and answer is called once.
type count struct {
	actorsystem.Quiet
	namespace string
	snapshot  Snapshot
	answer    func(kv.Usage, error)
}

// refused says that a namespace can't be counted now.
type refused struct {
	actorsystem.Quiet
	namespace string
	err       error
}

// usage asks for a namespace's usage; reply has room for the answer.
type usage struct {
	actorsystem.Quiet
	namespace string
	reply     chan reply
}

type reply struct {
	usage kv.Usage
	err   error
}
