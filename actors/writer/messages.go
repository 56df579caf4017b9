package writer

import (
	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/kv"
)

// Message is everything that the writer understands. Each message knows what
// to do, so one without a handler does not compile.
type Message interface {
	IgnoreDeadLetterLogging()
	handle(*Actor)
}

// apply asks for one mutation on behalf of a caller, which gets an answer. It is
// a single pointer so that sending it allocates nothing.
type apply struct{ request *admission.Request }

func (apply) IgnoreDeadLetterLogging() {}

// applyNow is apply by a caller that runs the writer itself, and that has found nothing in
// the mailbox: there is nothing to gather.
type applyNow struct{ request *admission.Request }

func (applyNow) IgnoreDeadLetterLogging() {}

// purgeExpired asks for the removal of one chunk of expired rows. No caller waits
// for it: what it did is in Committed.
type purgeExpired struct{ actorsystem.Quiet }

// between asks for work that needs the database to itself. It stands in the queue
// like a mutation, and those behind it wait.
type between struct {
	actorsystem.Quiet
	request *admission.Request
	work    func() error
}

// flush commits what is pending. The writer sends it to itself with the first
// request of a batch: it comes back behind everything that was already queued.
type flush struct{ actorsystem.Quiet }

// rest asks whether nothing was committed lately, so that what commits have put off can be
// done. The writer sends it to itself.
type rest struct{ actorsystem.Quiet }

// countNamespace asks for the usage of a namespace to be published, counting
// it first if need be.
type countNamespace struct {
	actorsystem.Quiet
	namespace string
}

// counted brings what a count found.
type counted struct {
	actorsystem.Quiet
	account *account
	usage   kv.Usage
	err     error
}

// resynchronise asks for the present state to be published, for a projection
// that was started anew.
type resynchronise struct{ actorsystem.Quiet }
