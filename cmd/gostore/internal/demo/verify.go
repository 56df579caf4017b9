package demo

import (
	"maps"
	"slices"

	"forge.lthn.ai/core/go-store/api"
)

// rows is what verifying needs of a store.
type rows interface {
	Groups(prefix string) ([]string, error)
	GetAll(group string) (map[string]string, error)
}

// verify compares every row of a reopened store with the model. The writes of
// a key that were acknowledged stand or fall together: the last one is looked
// for, and the others are those it replaced. Sessions may still be there if the
// load broke off.
func (l *load) verify(store rows, brokeOff bool) {
	groups, err := store.Groups("")
	if err != nil {
		l.findings.add("the reopened store can't list its groups: %v", err)
	}
	stored := map[[2]string]string{}
	for _, group := range groups {
		pairs, err := store.GetAll(group)
		if err != nil {
			l.findings.add("the reopened store can't read the group %q: %v", group, err)
		}
		for key, value := range pairs {
			stored[[2]string{group, key}] = value
		}
	}

	for _, at := range slices.SortedFunc(maps.Keys(l.model.all), compareKeys) {
		c := l.model.all[at]
		value, found := stored[at]
		delete(stored, at)
		// A write that failed without saying whether it took place may be
		// found. Nothing else that began and was not acknowledged may.
		allowed := c.acked.Load() >> 1
		if c.doubtful {
			allowed = c.issued.Load()
		}
		if wrong := c.judge(value, found, c.acked.Load(), allowed); wrong != "" {
			l.findings.add("after reopening: %s", wrong)
			l.result.Lost += c.acknowledged
		} else {
			l.result.Verified += c.acknowledged
		}
		l.result.Acknowledged += c.acknowledged
	}
	l.result.Acknowledged += l.sessions.written
	l.result.Verified += l.sessions.written
	for at := range stored {
		if at[0] != sessionGroup || !brokeOff {
			l.findings.add("after reopening: %s/%s: a row that ought not to be there", at[0], at[1])
		}
	}
}

func compareKeys(a, b [2]string) int { return slices.Compare(a[:], b[:]) }

var _ rows = (*api.Store)(nil)
