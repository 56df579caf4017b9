package conformance

import (
	"errors"
	"fmt"
	"math/bits"
	"testing"

	"github.com/asynkron/protoactor-go/persistence"
)

// Promise is something that not every provider keeps. A provider has a set of them.
type Promise uint

const (
	// Deletes: DeleteEvents and DeleteSnapshots remove what they are told, up to and
	// with the index, and an older snapshot counts again when newer ones are deleted.
	Deletes Promise = 1 << iota
	// Fences: an incarnation that another one has overtaken can't write an event, be it
	// at an index that is taken or at one that was and is deleted.
	Fences
	// FencesSnapshots: nor can it write a snapshot, or delete anything.
	FencesSnapshots
	// RefusesGaps: an event that would leave indexes before it out is refused.
	RefusesGaps
	// Concurrent: any number of actors and goroutines may use the provider at once.
	Concurrent
	// Copies: what was written does not change with the message that it came from.
	Copies
	// AnyName: actors may be named by any bytes.
	AnyName
	// IntervalOff: an interval of 0 means that no snapshots are asked for. (The library
	// divides by what GetSnapshotInterval returns.)
	IntervalOff
	// Durable: what was written is there when the same place is opened again.
	Durable
	// SurvivesKill: so it is after the process was killed, at any moment.
	SurvivesKill

	promises   = iota
	Everything = Promise(1)<<promises - 1
)

var promiseNames = [promises]string{"Deletes", "Fences", "FencesSnapshots", "RefusesGaps", "Concurrent", "Copies", "AnyName", "IntervalOff", "Durable", "SurvivesKill"}

// String names the promises of a set.
func (p Promise) String() string {
	text := ""
	for rest := uint(p & Everything); rest != 0; rest &= rest - 1 {
		text += "+" + promiseNames[bits.TrailingZeros(rest)]
	}
	if text == "" {
		return "nothing beyond the library's interface"
	}
	return text[1:]
}

// Opened is a provider that is open.
type Opened struct {
	Provider persistence.Provider
	Close    func() error // nil: nothing is to be closed
}

// Options say what is tried out.
type Options struct {
	// Open opens the provider on a place: a folder that is there, and that is the
	// provider's alone. Opened again it is to hold what was written before, if the
	// provider is Durable; places that are different share nothing. The interval is
	// that of snapshots.
	Open func(place string, interval int) (*Opened, error)
	// Promises are what the provider is held to.
	Promises Promise
	// Fenced is what errors.Is finds in an error of an incarnation that was overtaken;
	// nil: any error will do.
	Fenced error
	// Actors is how many actors write at once where many do: 1,000 by default.
	Actors int
	// Child names, for a provider that SurvivesKill, the entry of the map that TestMain
	// has given to Child.
	Child string
}

// Outcome is what a check has come to.
type Outcome struct {
	Name  string
	Needs Promise // that the check is about
	Tried bool    // false: the provider does not promise it
	Err   error   // what the provider does not keep
}

// check is one thing to try out, on a provider of its own.
type check struct {
	name  string
	needs Promise
	run   func(*subject) error
}

// Run tries out a provider, each check as a test of its own.
func Run(t *testing.T, options Options) {
	for _, c := range checks() {
		if missing := c.needs &^ options.Promises; missing != 0 {
			t.Run(c.name+" (not promised)", func(t *testing.T) { t.Logf("not tried: the provider does not promise %v", missing) })
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			if err := c.try(options, t.TempDir()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Verify is Run without a test: what each check has come to. The folder is for the
// places; it may be removed afterwards.
func Verify(folder func() string, options Options) []Outcome {
	var outcomes []Outcome
	for _, c := range checks() {
		outcome := Outcome{Name: c.name, Needs: c.needs, Tried: c.needs&^options.Promises == 0}
		if outcome.Tried {
			outcome.Err = c.try(options, folder())
		}
		outcomes = append(outcomes, outcome)
	}
	return outcomes
}

func (c check) try(options Options, place string) (err error) {
	if options.Actors == 0 {
		options.Actors = 1000
	}
	s := &subject{options: options, place: place}
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("it panics: %v", reason)
		}
		err = errors.Join(err, s.end())
	}()
	return c.run(s)
}

func checks() []check {
	var all []check
	for _, some := range [][]check{replayChecks, actorChecks, messageChecks, deleteChecks, fenceChecks, lifeChecks, killChecks} {
		all = append(all, some...)
	}
	return all
}
