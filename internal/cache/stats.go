package cache

// Stats says how a cache has done.
type Stats struct {
	Hits   uint64 // estimated: right to a few per cent from some ten thousand on
	Misses uint64
	Rows   int // those that are known to be missing included
	Bytes  int // that they take, with all that is needed to find them
	Limit  int
}

// Stats is of moments that follow each other closely.
func (c *Cache) Stats() (stats Stats) {
	for i := range c.shards {
		s := &c.shards[i]
		stats.Hits += s.hits.n.Load()
		stats.Misses += s.misses.Load()
		stats.Limit += s.limit
		s.mu.Lock()
		stats.Rows += s.index.Load().used
		stats.Bytes += s.mu.bytes
		s.mu.Unlock()
	}
	return stats
}
