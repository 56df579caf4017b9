package cache

import "forge.lthn.ai/core/go-store/kv"

// Peek is the stored row of a key, dead or alive, if the cache knows it. It waits for
// nothing and reads nothing; what it says is as right as what Get says.
func (c *Cache) Peek(group, key string) (row kv.Row, found, known bool) {
	if e, ok := c.rows.GetIfPresent(place{group, key}); ok && e.group.Load() == e.epoch {
		return e.row, e.found, true
	}
	return kv.Row{}, false, false
}
