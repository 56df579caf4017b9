package inspect

import (
	"net/http"
	"time"
)

// Names of what tests outside of the package need.
var (
	SegmentOf = segmentOf
	NameOf    = nameOf
)

const (
	Policy     = policy
	DataPolicy = dataPolicy
	MaxStreams = maxStreams
)

// RouteOf is the route of a path, as routes has it; "" for the page, "none" for what is
// neither.
func RouteOf(path string) string {
	found, _, _ := find(path)
	switch {
	case found == nil:
		return ""
	case found.path == "":
		return "none"
	default:
		return found.path
	}
}

// Routes are the paths with their methods.
func Routes() map[string][]string {
	all := make(map[string][]string)
	for _, r := range routes {
		for method := range r.methods {
			all[r.path] = append(all[r.path], method)
		}
	}
	return all
}

// Bounds are the settings that tests change; those that are zero stay.
type Bounds struct {
	Heartbeat, Progress, Patience, BodyTime, StatsAge time.Duration
	PageBytes                                         int
	NoTime                                            bool // for the tree, counts, searches and histories
}

// WithBounds changes the settings of a handler.
func WithBounds(h http.Handler, b Bounds) http.Handler {
	s := &h.(*handler).settings
	for to, from := range map[*time.Duration]time.Duration{&s.heartbeat: b.Heartbeat, &s.progress: b.Progress,
		&s.patience: b.Patience, &s.bodyTime: b.BodyTime, &s.statsAge: b.StatsAge} {
		if from != 0 {
			*to = from
		}
	}
	if b.PageBytes != 0 {
		s.pageBytes = b.PageBytes
	}
	if b.NoTime {
		s.treeTime, s.countTime, s.searchTime, s.skipTime, s.historyTime = -1, -1, -1, -1, -1
	}
	return h
}

// Streams is how many streams of a handler there are.
func Streams(h http.Handler) int { return len(h.(*handler).streams) }

// StatusOf is how an error of the store is answered.
func StatusOf(err error) (status int, code string) {
	p := problemOf(err)
	return p.status, p.code
}
