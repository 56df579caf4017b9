package writer

import (
	"maps"
	"slices"
)

// lanes are those that a job waits in, with where: the namespace that is counted for
// it, "" for what is set aside. Later jobs of the lane wait in the same place, behind
// it: the writes of a sender that does not wait are committed in the order of their
// sending. A lane waits in one place at a time. A job in no lane waits alone: its caller
// is blocked, and has sent nothing after it.
type lanes map[uint64]string

func (j *job) lane() uint64 {
	if j.request == nil {
		return 0
	}
	return j.request.Lane()
}

// close has later jobs of the job's lane wait behind it.
func (a *Actor) close(j *job, namespace string) {
	lane := j.lane()
	if lane == 0 {
		return
	}
	if a.lanes == nil {
		a.lanes = make(lanes)
	}
	a.lanes[lane] = namespace
}

// hold puts a job behind those of its lane that wait.
func (a *Actor) hold(j *job) bool {
	if len(a.lanes) == 0 {
		return false
	}
	namespace, closed := a.lanes[j.lane()]
	if !closed {
		return false
	}
	if namespace == "" {
		a.aside = append(a.aside, *j)
	} else {
		account := a.ledger.accounts[namespace]
		account.parked = append(account.parked, *j)
	}
	*j = job{mutation: j.mutation}
	return true
}

// resume has those that have waited in one place come before all that is pending: what
// was sent after them is there, or to come.
func (a *Actor) resume(namespace string, jobs []job) {
	maps.DeleteFunc(a.lanes, func(_ uint64, in string) bool { return in == namespace })
	a.pending = slices.Insert(a.pending, 0, jobs...)
	a.accept()
}
