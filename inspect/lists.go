package inspect

import (
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

// keys lists the keys of a group, with values if they are asked for.
func (h *handler) keys(w http.ResponseWriter, r *http.Request, names []string) error {
	p, err := queryOf(r.URL.RawQuery, "prefix*", "max_value", "reverse", "skip", "limit", "cursor")
	if err != nil {
		return err
	}
	prefix, most, limit, skip := p.text("prefix"), p.maxValue(0), p.limit(), int(p.number("skip", 0, 1<<30, 0))
	options := api.ScanOptions{Groups: api.Exactly(names[0]), From: prefix, To: successor(prefix),
		Reverse: p.flag("reverse"), KeysOnly: most == 0, Limit: limit + 1, Cursor: p.values.Get("cursor")}
	if p.err != nil {
		return p.err
	}
	if p.values.Has("cursor") && options.Cursor == "" {
		return &problem{status: http.StatusBadRequest, code: "invalid_cursor", detail: "the cursor is empty: leave it away to begin"}
	}
	answer := struct {
		groupItem
		Skipped int       `json:"skipped,omitempty"`
		Keys    []keyItem `json:"keys"`
		Cursor  string    `json:"cursor,omitempty"`
	}{groupItem: groupItemOf(names[0]), Keys: []keyItem{}}
	if skip > 0 {
		over, complete, err := h.passOver(r, &options, skip)
		if err != nil {
			return err
		}
		if answer.Skipped = over; !complete {
			answer.Cursor = options.Cursor
		}
		if over < skip {
			writeJSON(w, "application/json", http.StatusOK, answer)
			return nil
		}
	}
	var last api.ScanEntry
	bytes := 0
	for entry, err := range h.in(r).Scan(options) {
		if err != nil {
			return err
		}
		if len(answer.Keys) == limit || bytes >= h.pageBytes {
			answer.Cursor = last.Cursor()
			break
		}
		item := keyItemOf(entry)
		if most > 0 {
			item.valueJSON = valueOf(entry.Value, most)
			bytes += min(most, len(entry.Value))
		}
		answer.Keys = append(answer.Keys, item)
		last = entry
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

// passOver has the options begin behind the next keys, as many as there are and as are
// passed in good time; complete, that there are no more.
func (h *handler) passOver(r *http.Request, options *api.ScanOptions, skip int) (over int, complete bool, err error) {
	passing := *options
	passing.KeysOnly, passing.Limit = true, skip
	began := time.Now()
	var last api.ScanEntry
	for entry, err := range h.in(r).Scan(passing) {
		if err != nil {
			return 0, false, err
		}
		over, last = over+1, entry
		if over%1024 == 0 && time.Since(began) > h.skipTime {
			options.Cursor = last.Cursor()
			return over, false, nil
		}
	}
	if over < skip {
		return over, true, nil
	}
	options.Cursor = last.Cursor()
	return over, false, nil
}

// successor is the first name behind all that begin with the prefix; empty: there is none.
func successor(prefix string) string {
	for last := len(prefix) - 1; last >= 0; last-- {
		if prefix[last] != 0xFF {
			return prefix[:last] + string([]byte{prefix[last] + 1})
		}
	}
	return ""
}
