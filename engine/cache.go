package engine

import (
	"context"

	"forge.lthn.ai/core/go-store/internal/cache"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// openCache makes the read cache of a store that no other process writes to.
func (e *Engine) openCache() {
	if e.config.ReadCache > 0 {
		e.cache = cache.New(e.config.ReadCache, e.database, e.config.Failpoint)
	}
}

// writing is the database's writer as the writer actor is to use it: with the
// cache kept equal to what it commits.
func (e *Engine) writing() storage.Writer {
	writer := e.database.Writer()
	if e.config.Writer != nil {
		writer = e.config.Writer(writer)
	}
	if e.cache == nil {
		return writer
	}
	return e.cache.Writer(writer)
}

// stored is a key's row, dead or alive.
func (e *Engine) stored(ctx context.Context, group, key string) (kv.Row, bool, error) {
	if e.cache == nil {
		return e.reads.Get(ctx, group, key)
	}
	return e.cache.Get(ctx, group, key)
}

func (e *Engine) closeCache() {
	if e.cache != nil {
		e.cache.Close()
	}
}
