package inspect

import (
	"math"
	"net/http"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

type groupItem struct {
	groupJSON
	Segment string `json:"segment"`
}

func groupItemOf(group string) groupItem { return groupItem{groupOf(group), groupSegmentOf(group)} }

// groups lists groups. A cursor is the name to begin at.
func (h *handler) groups(w http.ResponseWriter, r *http.Request, _ []string) error {
	p, err := queryOf(r.URL.RawQuery, "prefix*", "limit", "cursor")
	if err != nil {
		return err
	}
	prefix, limit := p.text("prefix"), p.limit()
	if p.err != nil {
		return p.err
	}
	var at place
	if p.has("cursor") {
		if at, err = placeOf(p.values.Get("cursor"), "groups", prefix); err != nil {
			return err
		}
	}
	answer := struct {
		Groups []groupItem `json:"groups"`
		Cursor string      `json:"cursor,omitempty"`
	}{Groups: []groupItem{}}
	for group, err := range h.in(r).GroupsFrom(prefix, at.group) {
		if err != nil {
			return err
		}
		if len(answer.Groups) == limit {
			answer.Cursor = cursorOf(place{group: group}, "groups", prefix)
			break
		}
		answer.Groups = append(answer.Groups, groupItemOf(group))
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

type keyItem struct {
	*groupJSON // of search, where keys of many groups stand together
	keyJSON
	Segment  string `json:"segment"`
	Revision uint64 `json:"revision"`
	expiryJSON
	valueJSON
}

func keyItemOf(entry api.ScanEntry) keyItem {
	return keyItem{keyJSON: keyOf(entry.Key), Segment: segmentOf(entry.Key), Revision: entry.Revision, expiryJSON: expiryOf(entry.ExpiresAt)}
}

type keyList struct {
	groupItem
	Keys    []keyItem `json:"keys"`
	Skipped *int      `json:"skipped,omitempty"`
	Cursor  string    `json:"cursor,omitempty"`
}

// keys lists the keys of a group, with values if they are asked for.
func (h *handler) keys(w http.ResponseWriter, r *http.Request, names []string) error {
	p, err := queryOf(r.URL.RawQuery, "prefix*", "max_value", "reverse", "skip", "limit", "cursor")
	if err != nil {
		return err
	}
	prefix, most, limit, skip := p.text("prefix"), p.maxValue(0), p.limit(), int(p.number("skip", 0, math.MaxInt32, 0))
	options := api.ScanOptions{Groups: api.Exactly(names[0]), From: prefix, To: successor(prefix),
		Reverse: p.flag("reverse"), KeysOnly: true, Cursor: p.values.Get("cursor")}
	if p.err != nil {
		return p.err
	}
	if p.values.Has("cursor") && options.Cursor == "" {
		return &problem{status: http.StatusBadRequest, code: "invalid_cursor", detail: "the cursor is empty: leave it away to begin"}
	}
	answer := keyList{groupItem: groupItemOf(names[0]), Keys: []keyItem{}}
	store := h.in(r)
	if skip > 0 {
		skipped, cursor, err := h.skip(store, options, skip)
		if err != nil {
			return err
		}
		options.Cursor = cursor
		if answer.Skipped = &skipped; skipped < skip {
			answer.Cursor = cursor // or, at the end, none
			writeJSON(w, "application/json", http.StatusOK, answer)
			return nil
		}
	}
	options.KeysOnly, options.Limit = most == 0, limit+1
	if err := answer.read(store, options, most, limit, h.pageBytes); err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

// skip passes over keys, while there is time. The cursor is behind them; it
// is empty if there was none behind those that were passed over, fewer than wanted.
func (h *handler) skip(store api.Storer, options api.ScanOptions, keys int) (skipped int, cursor string, err error) {
	began := time.Now()
	var last api.ScanEntry
	for entry, err := range store.Scan(options) {
		if err != nil {
			return 0, "", err
		}
		if skipped > 0 && skipped%1024 == 0 && time.Since(began) >= h.skipTime {
			return skipped, last.Cursor(), nil
		}
		last = entry
		if skipped++; skipped == keys {
			return skipped, last.Cursor(), nil
		}
	}
	return skipped, "", nil
}

// read adds keys until there are so many, or so many bytes of values.
func (l *keyList) read(store api.Storer, options api.ScanOptions, most, limit, pageBytes int) error {
	var last api.ScanEntry
	bytes := 0
	for entry, err := range store.Scan(options) {
		if err != nil {
			return err
		}
		if len(l.Keys) == limit || bytes >= pageBytes {
			l.Cursor = last.Cursor()
			return nil
		}
		item := keyItemOf(entry)
		if most > 0 {
			item.valueJSON = valueOf(entry.Value, most)
			bytes += min(most, len(entry.Value))
		}
		l.Keys = append(l.Keys, item)
		last = entry
	}
	return nil
}

// successor is the first name behind all that begin with the prefix; empty: there is none.
func successor(prefix string) string { return api.Prefix(prefix).Range().To }
