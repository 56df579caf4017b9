package bench

import "fmt"

// hotKeys is how many keys get-hot reads.
const hotKeys = 1_000

var basicWorkloads = []Workload{
	{
		Name: "set", About: "overwrite a key with a new value",
		Writes: true, Sweeps: true, batches: true, data: records,
		begin: func(s *session) (*work, error) {
			return &work{step: func(c *Caller) (Kind, error) {
				return s.setKey(c, c.Keys.next(c.Random, s.plan.Keys))
			}}, nil
		},
	},
	{
		Name: "get-hot", About: "read one of 1,000 keys over and over",
		Sweeps: true, Needs: []Need{NeedGet}, data: records,
		begin: func(s *session) (*work, error) { return s.gets(min(hotKeys, s.plan.Keys)), nil },
	},
	{
		Name: "get-cold", About: "read each key once at most, from a store just opened (the system's file cache stays warm)",
		Needs: []Need{NeedGet, NeedReopen}, cold: true, ownKeys: true, data: records,
		begin: func(s *session) (*work, error) {
			getter := s.target.(Getter)
			return &work{step: func(c *Caller) (Kind, error) {
				i := c.Number + c.Calls*s.callers
				if i >= s.plan.Keys {
					return Read, errExhausted
				}
				return s.getKey(getter, i)
			}}, nil
		},
	},
	{
		Name: "get-any", About: "read any key",
		Needs: []Need{NeedGet}, data: records,
		begin: func(s *session) (*work, error) { return s.gets(s.plan.Keys), nil },
	},
	{
		Name: "get-missing", About: "read a key that is not there",
		Needs: []Need{NeedGet}, ownKeys: true, data: records,
		begin: func(s *session) (*work, error) {
			getter := s.target.(Getter)
			return &work{step: func(c *Caller) (Kind, error) {
				name := missing(c.Random)
				_, found, err := getter.Get(dataGroup, name)
				if found {
					err = fmt.Errorf("bench: Get of %s/%s found a key that was never written", dataGroup, name)
				}
				return Read, err
			}}, nil
		},
	},
	{
		Name: "mixed", About: "80 % get, 20 % set",
		Writes: true, Sweeps: true, Needs: []Need{NeedGet}, data: records,
		begin: func(s *session) (*work, error) { return s.readsAndUpdates(80), nil },
	},
}

// gets reads the first n keys, as often each as the distribution says.
func (s *session) gets(n int) *work {
	getter := s.target.(Getter)
	return &work{step: func(c *Caller) (Kind, error) { return s.getKey(getter, c.Keys.next(c.Random, n)) }}
}

// readsAndUpdates reads in so many of a hundred operations and overwrites in
// the others.
func (s *session) readsAndUpdates(reads int) *work {
	getter := s.target.(Getter)
	return &work{step: func(c *Caller) (Kind, error) {
		number := c.Keys.next(c.Random, s.plan.Keys)
		if c.Random.IntN(100) < reads {
			return s.getKey(getter, number)
		}
		return s.setKey(c, number)
	}}
}
