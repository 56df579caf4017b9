package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

const (
	tenantName  = "tenant"
	tenantTeams = 4
	tenantKeys  = 100 // its quota
	teamKeys    = 60  // what each team would like
)

// tenant is a namespace whose teams want more keys than its quota allows.
type tenant struct {
	scope *api.ScopedStore
	teams [][]*cell
}

func newTenant(m *model) *tenant {
	t := &tenant{teams: make([][]*cell, tenantTeams)}
	for i := range t.teams {
		group := fmt.Sprintf("%s:team-%d", tenantName, i)
		for j := range teamKeys {
			t.teams[i] = append(t.teams[i], m.add(group, fmt.Sprintf("setting-%02d", j), "a setting"))
		}
	}
	return t
}

func (t *tenant) open(store *api.Store) (err error) {
	t.scope, err = api.NewScopedWithQuota(store, tenantName, api.QuotaConfig{MaxKeys: tenantKeys})
	return err
}

// write sets and deletes the keys of one team.
func (t *tenant) write(ctx context.Context, l *load, cells []*cell, random *rand.Rand) {
	every(ctx, 2*time.Millisecond, func() {
		c := cells[random.IntN(len(cells))]
		if c.present() && random.IntN(3) == 0 {
			c.issued.Add(1)
			if err := t.scope.Delete(team(c), c.key); err != nil {
				c.doubtful = errors.Is(err, api.UnknownOutcomeError)
				l.failed("delete in a namespace", err)
				return
			}
			c.acknowledge(false)
			l.writes.Add(1)
			return
		}
		t.set(l, c)
	})
}

// set tries to set a key. The quota may refuse a new one, never one that is there.
func (t *tenant) set(l *load, c *cell) (refused bool) {
	err := t.scope.Set(team(c), c.key, c.value(c.issued.Add(1)))
	switch {
	case err == nil:
		c.acknowledge(true)
		l.writes.Add(1)
	case errors.Is(err, api.QuotaExceededError):
		l.refused.Add(1)
		if c.present() {
			l.findings.add("%s/%s: the quota refused a key that was there", c.group, c.key)
		}
		return true
	default:
		c.doubtful = errors.Is(err, api.UnknownOutcomeError)
		l.failed("write in a namespace", err)
	}
	return false
}

// team is the group's name inside the namespace.
func team(c *cell) string { return c.group[len(tenantName)+1:] }

// inspect counts the namespace's keys while they change.
func (t *tenant) inspect(ctx context.Context, l *load) {
	every(ctx, 20*time.Millisecond, func() {
		count, err := t.scope.CountAll("")
		if err != nil {
			l.failed("count", err)
		} else if count > tenantKeys {
			l.findings.add("%s: %d keys, the quota allows %d", tenantName, count, tenantKeys)
		}
	})
}

// fillUp sets every key that is missing, when nobody else does any more: the
// quota has to allow exactly its number of keys, and refuse the others.
func (t *tenant) fillUp(l *load) {
	present := 0
	for _, cells := range t.teams {
		for _, c := range cells {
			if c.present() || !t.set(l, c) {
				present++
			}
		}
	}
	if present != tenantKeys && l.failure.get() == nil {
		l.findings.add("%s: the quota allowed %d keys instead of %d", tenantName, present, tenantKeys)
	}
}
