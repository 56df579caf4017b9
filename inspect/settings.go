package inspect

import "time"

// settings are times and sizes that bound what a request may cost. Tests have others.
type settings struct {
	heartbeat   time.Duration // between comments on a stream that is silent
	progress    time.Duration // between reports of what the filter of a stream is not for
	patience    time.Duration // how long a stream's reader may take nothing
	bodyTime    time.Duration // how long a PUT's body may take where the server sets no limit
	historyTime time.Duration // how long the log is read for a history
	treeTime    time.Duration // how long parts of the tree are measured, all together
	countTime   time.Duration // how long one part is measured that was asked for
	searchTime  time.Duration // how long keys are looked for before what was found is answered
	skipTime    time.Duration // how long keys are passed over before how many is answered
	statsAge    time.Duration // how old statistics may be
	pageBytes   int           // of values in a list, about
}

var standard = settings{
	heartbeat: 15 * time.Second, progress: 5 * time.Second, patience: 10 * time.Second, bodyTime: time.Minute,
	historyTime: 5 * time.Second, treeTime: 150 * time.Millisecond, countTime: 2 * time.Second,
	searchTime: 200 * time.Millisecond, skipTime: 500 * time.Millisecond, statsAge: 2 * time.Second, pageBytes: 4 << 20,
}

const (
	maxLimit     = 1000
	defaultLimit = 100
	maxStreams   = 256
)
