package stress

import (
	"slices"

	"forge.lthn.ai/core/go-store/api"
)

// dataSet is the entries of Config.Data: they are there before the load, no caller writes them
// afterwards, and so any read knows what it has to find.
type dataSet struct {
	items  []api.Item
	groups map[string]map[string]string
}

func newDataSet(items []api.Item) dataSet {
	d := dataSet{items: items, groups: map[string]map[string]string{}}
	for _, item := range items {
		if d.groups[item.Group] == nil {
			d.groups[item.Group] = map[string]string{}
		}
		d.groups[item.Group][item.Key] = item.Value
	}
	return d
}

// dataBatch is how many entries are written at a time.
const dataBatch = 1000

// writeData writes the entries, before any caller is at work.
func (r *run) writeData() {
	c := r.callers[0]
	for items := range slices.Chunk(r.data.items, dataBatch) {
		call := Call{Kind: SetAll, Items: items}
		if err := c.do(call).Err; err != nil {
			c.unexpected(call, err)
			return
		}
		for _, item := range items {
			r.ledger.committed(change{api.EventSet, item.Group, item.Key})
		}
		c.writes.Add(1)
	}
}

// readData reads one of the entries.
func (c *caller) readData() {
	item := c.data.items[c.random.IntN(len(c.data.items))]
	value, found, ok := c.get(item.Group, item.Key)
	if !ok || found && value == item.Value {
		return
	}
	again, _, _ := c.get(item.Group, item.Key)
	c.findings.add(ofData(found, again == item.Value), "%s/%s: found %s, and %s was written once", item.Group, item.Key,
		brief(value, found), brief(item.Value, true))
}

// ofData is what is wrong with an entry that is missing, or another one.
func ofData(found, backAgain bool) Violation {
	switch {
	case backAgain:
		return StaleRead
	case found:
		return PhantomWrite
	}
	return LostWrite
}

// verifyData reads all the entries.
func (r *run) verifyData() {
	c := r.callers[0]
	for group, want := range r.data.groups {
		rows, ok := c.rows(Call{Kind: GetAll, Group: group})
		if !ok {
			continue
		}
		there := make(map[string]bool, len(rows))
		for _, row := range rows {
			there[row.Key] = true
			if value, wanted := want[row.Key]; !wanted || value != row.Value {
				r.findings.add(PhantomWrite, "%s/%s: found %s, which nobody wrote", group, row.Key, brief(row.Value, true))
			}
		}
		for key, value := range want {
			if !there[key] {
				r.findings.add(LostWrite, "%s/%s: not found, though %s was written", group, key, brief(value, true))
			}
		}
	}
}

// followsData judges an event of an entry, of which there is one.
func (a *audience) followsData(m *member, event api.Event) {
	value, written := a.run.data.groups[event.Group][event.Key]
	if !written || event.Type != api.EventSet || event.Value != value {
		a.run.findings.add(EventExtra, "%s: %v of %s/%s %s, which nobody wrote", m.name, event.Type, event.Group, event.Key, brief(event.Value, true))
	}
}
