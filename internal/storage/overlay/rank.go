package overlay

import "forge.lthn.ai/core/go-store/kv"

// Rank is how many more live rows of its group a state and the base have together before a
// key than the base alone; negative if there are fewer.
type Rank struct {
	Key    string
	Before int64
}

// Ranks are those of the keys of a group that the state decides, in their order; behind is what
// would follow the last. It ends early once there are more than most live rows of the overlay's
// among them, not counting what the base has already: whatever comes has more live rows before it
// than that. ok is false for a group of which nothing counts that the base has. The base and
// folded are as for Delta, and so is the cost; step is called for each key.
func (s *State) Ranks(group string, now, most int64, folded Cursor, base Base, step func() error) (ranks []Rank, behind int64, ok bool, err error) {
	d := counter{state: s, now: now, folded: folded, base: base}
	if d.hidden(group) {
		return nil, 0, false, nil
	}
	walk := s.Iterate(GroupBounds(kv.GroupRange(group)), false)
	for from := walk.peek(); from != nil && d.lives <= most; from = walk.peek() {
		if err := step(); err != nil {
			return nil, 0, false, err
		}
		ranks = append(ranks, Rank{from.cell.key, d.lives - d.covers})
		if err := d.key(walk, from, false); err != nil {
			return nil, 0, false, err
		}
		walk.step(from, from == &walk.frozen)
	}
	return ranks, d.lives - d.covers, true, nil
}
