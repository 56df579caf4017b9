package storetest

import (
	"forge.lthn.ai/core/go-store/api"
)

// Option changes what New makes. The last of several of a kind counts.
type Option func(*settings)

type settings struct {
	memory        bool
	path          string
	clock         *Clock
	realClock     bool
	allowDegraded bool
	options       []api.Option
}

// InMemory has the store be one of ":memory:". It can't be given faults, and Kill and
// PowerLoss leave it empty, as the end of a process does.
func InMemory() Option { return func(s *settings) { s.memory = true } }

// File has the store be in a certain file, which is made unless it is there. Its folder
// is the store's alone until the test ends, and must hold nothing that is open.
func File(path string) Option { return func(s *settings) { s.path, s.memory = path, false } }

// With passes options on to api.New, each time that the store is opened. A clock is to be
// given by WithClock.
func With(options ...api.Option) Option {
	return func(s *settings) { s.options = append(s.options, options...) }
}

// WithClock has the store live by a clock that others live by too.
func WithClock(clock *Clock) Option { return func(s *settings) { s.clock, s.realClock = clock, false } }

// RealClock has the store live by the machine's clock. In a bubble of testing/synctest
// that is the bubble's. Advance and Jump are refused.
func RealClock() Option { return func(s *settings) { s.clock, s.realClock = nil, true } }

// AllowDegraded says that the store may be left unable to write, which fails the test
// otherwise, and that its Close may fail.
func AllowDegraded() Option { return func(s *settings) { s.allowDegraded = true } }
