//go:build !planted_event_leaked

package planted

// EventLeaked: the events of a request that was rolled back are sent.
const EventLeaked = false
