package testkit

import "forge.lthn.ai/core/go-store/internal/fakeclock"

// Clock is a source of time that moves only when told to.
type Clock = fakeclock.Clock

// NewClock stands at a fixed moment.
func NewClock() *Clock { return fakeclock.New() }
