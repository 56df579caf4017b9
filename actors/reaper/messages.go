package reaper

import (
	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/kv"
)

// Message is everything that the reaper understands.
type Message interface {
	IgnoreDeadLetterLogging()
	handle(*Actor)
}

// connect gives the reaper its writer; until then it only listens.
type connect struct {
	actorsystem.Quiet
	purger Purger
}

// committed is the fact that deadlines were written or rows purged.
type committed struct {
	actorsystem.Quiet
	fact *kv.Committed
}

// resynchronise replaces all that the reaper knows.
type resynchronise struct {
	actorsystem.Quiet
	earliest int64
}

// hint says that a read met an expired row.
type hint struct{ actorsystem.Quiet }

// wake is a timer's message; one of an earlier timer is stale.
type wake struct {
	actorsystem.Quiet
	timer uint64
}
