package inspect

import (
	"net/http"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// search looks for groups and, group after group, for keys that begin with something.
// Within a group it is a seek; so it costs what there is of groups, and after some time
// answers with where it is.
func (h *handler) search(w http.ResponseWriter, r *http.Request, _ []string) error {
	p, err := queryOf(r.URL.RawQuery, "q*", "group_prefix*", "limit", "cursor")
	if err != nil {
		return err
	}
	q, prefix, limit := p.text("q"), p.text("group_prefix"), p.limit()
	if p.err != nil {
		return p.err
	}
	var at place
	first := !p.has("cursor")
	if !first {
		if at, err = placeOf(p.values.Get("cursor"), "search", q, prefix); err != nil {
			return err
		}
	}
	answer := struct {
		Groups []groupItem `json:"groups"`
		Keys   []keyItem   `json:"keys"`
		Cursor string      `json:"cursor,omitempty"`
	}{Groups: []groupItem{}, Keys: []keyItem{}}
	store := h.in(r)
	if first {
		for group, err := range store.GroupsFrom(q, prefix) {
			if err != nil {
				return err
			}
			if len(answer.Groups) == limit || group[:min(len(group), len(prefix))] != prefix {
				break
			}
			answer.Groups = append(answer.Groups, groupItemOf(group))
		}
	}
	began := time.Now()
	for group, err := range store.GroupsFrom(prefix, at.group) {
		if err != nil {
			return err
		}
		if time.Since(began) >= h.searchTime {
			answer.Cursor = cursorOf(place{group: group}, "search", q, prefix)
			break
		}
		options := api.ScanOptions{Groups: api.Exactly(group), From: q, To: successor(q), KeysOnly: true, Limit: limit - len(answer.Keys) + 1}
		if at.from && group == at.group {
			options.From = at.key
		}
		for entry, err := range store.Scan(options) {
			if err != nil {
				return err
			}
			if len(answer.Keys) == limit {
				answer.Cursor = cursorOf(place{group: group, key: entry.Key, from: true}, "search", q, prefix)
				break
			}
			item := keyItemOf(entry)
			name := groupOf(group)
			item.groupJSON, item.Segment = &name, segmentOf(group)+"/"+segmentOf(entry.Key)
			answer.Keys = append(answer.Keys, item)
		}
		if answer.Cursor != "" {
			break
		}
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}
