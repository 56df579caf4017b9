package bench

import (
	"fmt"
	"strconv"
)

const (
	tenants    = 100
	roomyQuota = 1 << 30
)

var scopeWorkloads = []Workload{
	{
		Name: "scoped", About: "80 % get, 20 % set through views of 100 namespaces",
		Writes: true, Needs: []Need{NeedScope},
		data: func(p *Plan) dataset {
			return dataset{name: "tenants", keys: p.Keys, sizes: p.ValueSize,
				group: func(key int) string { return tenant(key%tenants) + ":" + dataGroup }}
		},
		begin: (*session).scoped,
	},
	{
		Name: "quota", About: "write a new key under a quota, and delete it again, in a namespace with all the keys",
		Writes: true, Needs: []Need{NeedScope}, ownKeys: true,
		data: func(p *Plan) dataset {
			return dataset{name: "quota", keys: p.Keys, sizes: p.ValueSize,
				group: func(int) string { return tenant(0) + ":" + dataGroup }}
		},
		begin: (*session).quota,
	},
}

func tenant(i int) string { return "tenant-" + strconv.Itoa(i) }

func (s *session) scoped() (*work, error) {
	scopes := make([]Scope, tenants)
	for i := range scopes {
		scope, err := s.target.(Scoper).Scope(tenant(i), 0, 0)
		if err != nil {
			return nil, err
		}
		scopes[i] = scope
	}
	return &work{step: func(c *Caller) (Kind, error) {
		number := c.Keys.next(c.Random, s.plan.Keys)
		scope, name := scopes[number%tenants], s.keys.name(number)
		if c.Random.IntN(100) >= 80 {
			return Write, scope.Set(dataGroup, name, s.sizes.value(c.Random))
		}
		_, found, err := scope.Get(dataGroup, name)
		if err == nil && !found {
			err = fmt.Errorf("bench: %s is missing in %s: an acknowledged write is lost", name, tenant(number%tenants))
		}
		return Read, err
	}}, nil
}

// quota has each caller write into a group of its own, so that both limits are
// checked, and delete what it wrote before, so that the namespace stays as
// large as it was.
func (s *session) quota() (*work, error) {
	scope, err := s.target.(Scoper).Scope(tenant(0), roomyQuota, roomyQuota)
	if err != nil {
		return nil, err
	}
	return &work{step: func(c *Caller) (Kind, error) {
		group, key := "new-"+strconv.Itoa(c.Number), strconv.Itoa(c.Calls/2)
		if c.Calls%2 == 0 {
			return Write, scope.Set(group, key, s.sizes.value(c.Random))
		}
		return Write, scope.Delete(group, key)
	}}, nil
}
