package bench

import "fmt"

const (
	getAllKeys = 10_000 // as in the benchmarks of the design that go-store re-implements
	pageKeys   = 100
)

var scanWorkloads = []Workload{
	{
		Name: "getall", About: "read a group of 10,000 keys into a map",
		Callers: 1, Needs: []Need{NeedGetAll}, ownKeys: true,
		data: func(p *Plan) dataset {
			return dataset{name: "group", keys: min(getAllKeys, p.Keys), sizes: p.ValueSize}
		},
		begin: func(s *session) (*work, error) {
			lister, want := s.target.(Lister), min(getAllKeys, s.plan.Keys)
			return &work{step: func(*Caller) (Kind, error) {
				all, err := lister.GetAll(dataGroup)
				if err == nil && len(all) != want {
					err = fmt.Errorf("bench: GetAll returned %d keys of %d", len(all), want)
				}
				return Scan, err
			}}, nil
		},
	},
	{
		Name: "page", About: "read a page of 100 keys, anywhere in the group",
		Needs: []Need{NeedPage}, ownKeys: true, data: records,
		begin: func(s *session) (*work, error) {
			pager, size := s.target.(Pager), min(pageKeys, s.plan.Keys)
			return &work{step: func(c *Caller) (Kind, error) {
				n, err := pager.Page(dataGroup, c.Random.IntN(s.plan.Keys-size+1), size)
				if err == nil && n != size {
					err = fmt.Errorf("bench: a page has %d keys, not %d", n, size)
				}
				return Scan, err
			}}, nil
		},
	},
}
