package bench

import "strconv"

// keysPerGroup is how many keys a group has that group-delete deletes.
const keysPerGroup = 50

var deleteWorkloads = []Workload{
	{
		Name: "delete", About: "delete a key that is there",
		Writes: true, Needs: []Need{NeedDelete}, cold: true, spends: true, ownKeys: true,
		data: func(p *Plan) dataset {
			d := records(p)
			d.name = "deleted"
			return d
		},
		begin: func(s *session) (*work, error) {
			deleter := s.target.(Deleter)
			return &work{step: func(c *Caller) (Kind, error) {
				i := c.Number + c.Calls*s.callers
				if i >= s.plan.Keys {
					return Write, errExhausted
				}
				return Write, deleter.Delete(dataGroup, s.keys.name(i))
			}}, nil
		},
	},
	{
		Name: "group-delete", About: "delete a group of 50 keys",
		Writes: true, Needs: []Need{NeedGroupDelete}, cold: true, spends: true, ownKeys: true,
		data: func(p *Plan) dataset {
			return dataset{name: "groups", keys: p.Keys, sizes: p.ValueSize, group: groupToDelete}
		},
		begin: func(s *session) (*work, error) {
			deleter, groups := s.target.(GroupDeleter), (s.plan.Keys+keysPerGroup-1)/keysPerGroup
			return &work{step: func(c *Caller) (Kind, error) {
				i := c.Number + c.Calls*s.callers
				if i >= groups {
					return Write, errExhausted
				}
				return Write, deleter.DeleteGroup(groupToDelete(i * keysPerGroup))
			}}, nil
		},
	},
}

func groupToDelete(key int) string { return "group-" + strconv.Itoa(key/keysPerGroup) }
