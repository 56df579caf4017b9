package storage

import (
	"iter"
	"slices"

	"forge.lthn.ai/core/go-store/kv"
)

// Gather is the keys and values of rows. It makes the map when it knows how large: a map that
// grows moves all it has.
func Gather(rows iter.Seq2[kv.Row, error]) (map[string]string, error) {
	var list []kv.KeyValue
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		if len(list) == cap(list) {
			list = slices.Grow(list, max(len(list), 16)) // append would by a quarter
		}
		list = append(list, kv.KeyValue{Key: row.Key, Value: row.Value})
	}
	all := make(map[string]string, len(list))
	for _, entry := range list {
		all[entry.Key] = entry.Value
	}
	return all, nil
}
