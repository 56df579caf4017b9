package stress

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

const (
	quotaPrefix = quotaNamespace + ":"
	// One write in so many of a key under the quota deletes it: there is
	// hardly ever room.
	tenantDeletes = 12
	// brevity is the time to live of keys that are to make room by expiring.
	brevity = time.Millisecond
)

// tenantSet is the keys under the quota that are there, by group and key.
type tenantSet map[[2]string]bool

func (s tenantSet) follow(event api.Event) {
	at := [2]string{event.Group, event.Key}
	if event.Type == api.EventSet {
		s[at] = true
	} else {
		delete(s, at)
	}
}

// newTenant is the keys that a caller would like to have in the namespace with
// the quota. All callers together would like twice as many as it allows.
func newTenant(number, callers int) (owned []*ownedKey) {
	for i := range 2*quotaKeys/callers + 2 {
		owned = append(owned, newOwnedKey(fmt.Sprintf("%steam-%04d", quotaPrefix, number), fmt.Sprintf("key-%03d", i), tenantDeletes))
	}
	return owned
}

// writeTenant writes a key under the quota.
func (c *caller) writeTenant() {
	k := c.tenant[c.random.IntN(len(c.tenant))]
	if k.checked != k.number() {
		c.verify(k)
	}
	c.putTenant(k, k.issued.Add(1))
}

// putTenant makes write n of a key under the quota. The quota may refuse a key
// that is new, never one that is there.
func (c *caller) putTenant(k *ownedKey, n uint64) (refused bool) {
	started, was := c.now(), k.present()
	call := Call{Kind: Delete, Group: k.group, Key: k.key}
	if !k.deletes(n) {
		call = Call{Kind: SetScoped, Group: strings.TrimPrefix(k.group, quotaPrefix), Key: k.key,
			Value: valueOf(k.group, k.key, n, started)}
	} else if was {
		c.tenants.Add(-1) // from now on it may be gone
	}
	answer := c.do(call)
	if errors.Is(answer.Err, api.QuotaExceededError) && call.Kind == SetScoped {
		c.refused.Add(1)
		if was {
			c.findings.add(QuotaRefused, "%v: the quota refused write %d of a key that was there", k, n)
		}
		return true
	}
	c.finish(k, n, started, call, answer)
	switch is := k.present(); {
	case is && (!was || k.deletes(n)):
		c.countTenants(c.tenants.Add(1))
	case was && !is && !k.deletes(n):
		c.tenants.Add(-1) // a write was lost
	}
	return false
}

// countTenants judges how many keys are known to be there at the same time,
// and how many the store says there are.
func (c *caller) countTenants(known int64) {
	if known > quotaKeys {
		c.findings.add(QuotaExceeded, "%d keys were acknowledged and not deleted, the quota allows %d", known, quotaKeys)
	}
	for _, call := range []Call{{Kind: CountAll, Group: quotaPrefix}, {Kind: Usage, Group: quotaNamespace}} {
		answer := c.do(call)
		if answer.Err != nil {
			c.unexpected(call, answer.Err)
		} else if answer.Count > quotaKeys {
			c.findings.add(QuotaExceeded, "%v(%s) = %d keys, the quota allows %d", call.Kind, call.Group, answer.Count, quotaKeys)
		}
	}
}

// fillTenants asks for every key that is missing when no other caller writes any
// more: the quota has to allow exactly its number. Then it lets some expire,
// which has to make room for exactly as many.
func (r *run) fillTenants() {
	const expiring = 5
	if present := r.askForTenants(); present != quotaKeys {
		r.misfilled("", present)
		return
	}
	var expired []*ownedKey
	for _, c := range r.callers {
		for _, k := range c.tenant {
			if k.present() && len(expired) < expiring {
				expired = append(expired, k)
				c.expireTenant(k)
			}
		}
	}
	time.Sleep(brevity + slack)
	if present := r.askForTenants(); present != quotaKeys {
		r.misfilled(fmt.Sprintf(" after %d had expired", len(expired)), present)
	}
}

func (r *run) misfilled(when string, present int) {
	violation := QuotaRefused
	if present > quotaKeys {
		violation = QuotaExceeded
	}
	r.findings.add(violation, "%d keys were allowed one after the other%s, the quota is %d", present, when, quotaKeys)
}

// askForTenants writes every key that is not there and counts those that are.
func (r *run) askForTenants() (present int) {
	for _, c := range r.callers {
		for _, k := range c.tenant {
			for !k.present() {
				n := k.issued.Add(1)
				if k.deletes(n) {
					continue // numbers that stand for deletions are left out
				}
				if c.putTenant(k, n) {
					break
				}
			}
			if k.present() {
				present++
			}
		}
	}
	return present
}

// expireTenant writes a key anew, so that it expires at once.
func (c *caller) expireTenant(k *ownedKey) {
	n := k.issued.Add(1)
	for k.deletes(n) {
		n = k.issued.Add(1)
	}
	started := c.now()
	call := Call{Kind: SetScoped, Group: strings.TrimPrefix(k.group, quotaPrefix), Key: k.key,
		Value: valueOf(k.group, k.key, n, started), TimeToLive: brevity}
	if answer := c.do(call); answer.Err != nil {
		c.unexpected(call, answer.Err)
		return
	}
	c.writes.Add(1)
	c.ledger.committed(change{api.EventSet, k.group, k.key}, change{api.EventExpire, k.group, k.key})
	// What is left of it is what a deletion leaves.
	c.tenants.Add(-1)
	k.expire(n, c.now())
}
