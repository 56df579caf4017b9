package engine

import (
	"encoding/binary"
	"sync"
	"weak"

	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/kv"
)

// records has all readers of the same large record of the log share it. It
// keeps none: its last reader does.
type records struct {
	mu struct {
		sync.Mutex
		open map[recordID]weak.Pointer[commitlog.Effects]
	}
}

// recordID tells records apart: after a rollback another record may have the
// revisions.
type recordID struct {
	first, last uint64
	at          int64
	size        int
	sum         uint32
}

// open verifies the record, and lets go of it.
func (r *records) open(row *kv.LogRow) (*commitlog.Effects, error) {
	id := recordID{first: row.First, last: row.Last, at: row.At, size: len(row.Record),
		sum: binary.LittleEndian.Uint32(row.Record[len(row.Record)-4:])}
	if effects := r.find(id); effects != nil {
		row.Record = nil
		return effects, nil
	}
	effects, err := commitlog.Open(*row)
	row.Record = nil
	if err != nil {
		return nil, err
	}
	return r.add(id, effects), nil
}

func (r *records) find(id recordID) *commitlog.Effects {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.open[id].Value()
}

// add is the record that another reader has added meanwhile, or this one.
func (r *records) add(id recordID, effects *commitlog.Effects) *commitlog.Effects {
	r.mu.Lock()
	defer r.mu.Unlock()
	if other := r.mu.open[id].Value(); other != nil {
		return other
	}
	for id, held := range r.mu.open {
		if held.Value() == nil {
			delete(r.mu.open, id)
		}
	}
	if r.mu.open == nil {
		r.mu.open = make(map[recordID]weak.Pointer[commitlog.Effects])
	}
	r.mu.open[id] = weak.Make(effects)
	return effects
}
