package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"forge.lthn.ai/core/go-store/api"
)

const defaultMaxValue = 64 << 10

// entry shows a key with its value as JSON.
func (h *handler) entry(w http.ResponseWriter, r *http.Request, names []string) error {
	p, err := queryOf(r.URL.RawQuery, "max_value")
	if err != nil {
		return err
	}
	most := p.maxValue(defaultMaxValue)
	if p.err != nil {
		return p.err
	}
	entry, err := h.in(r).Entry(names[0], names[1])
	if err != nil {
		return err
	}
	value := valueOf(entry.Value, most)
	w.Header().Set("ETag", etagOf(entry.Revision))
	writeJSON(w, "application/json", http.StatusOK, struct {
		groupJSON
		GroupSegment string `json:"group_segment"`
		keyJSON
		Segment  string `json:"segment"`
		Revision uint64 `json:"revision"`
		Kind     string `json:"kind"`
		expiryJSON
		valueJSON
		Truncated bool `json:"truncated"`
	}{groupOf(names[0]), groupSegmentOf(names[0]), keyOf(names[1]), segmentOf(names[1]), entry.Revision, kindOf(entry.Value), expiryOf(entry.ExpiresAt), value, value.Truncated})
	return nil
}

// kindOf says how a value is best shown.
func kindOf(value string) string {
	trimmed := strings.TrimLeft(value, " \t\r\n")
	switch {
	case !utf8.ValidString(value):
		return "binary"
	case trimmed != "" && (trimmed[0] == '{' || trimmed[0] == '[') && json.Valid([]byte(value)):
		return "json"
	default:
		return "text"
	}
}

// history shows what happened to a key, the newest first.
func (h *handler) history(w http.ResponseWriter, r *http.Request, names []string) error {
	p, err := queryOf(r.URL.RawQuery, "limit", "max_value")
	if err != nil {
		return err
	}
	limit, most := p.limit(), p.maxValue(defaultMaxValue)
	if p.err != nil {
		return p.err
	}
	answer := struct {
		Events         []eventJSON `json:"events"`
		Complete       bool        `json:"complete"`
		OldestRevision uint64      `json:"oldest_revision,omitempty"`
	}{}
	if answer.Events, answer.Complete, err = h.changes(r.Context(), names, limit, most); err != nil {
		return err
	}
	if h.whole != nil {
		if stats, err := h.cachedStats(r.Context()); err == nil {
			answer.OldestRevision = stats.OldestRevision
		}
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

// changes are the last ones of a key, newest first: so many, and so many bytes, unless one alone
// is more. They are complete if the whole log was read, and has no more. A client that takes its
// answer slowly is none of those that read.
func (h *handler) changes(request context.Context, names []string, limit, most int) (found []eventJSON, complete bool, err error) {
	select {
	case h.histories <- struct{}{}:
		defer func() { <-h.histories }()
	case <-request.Done():
		return nil, false, request.Err()
	}
	ctx, cancel := context.WithTimeout(request, h.historyTime)
	defer cancel()
	found, complete = []eventJSON{}, true
	bytes := 0
	for event, err := range api.InContext(ctx, h.store).History(names[0], names[1]) {
		if errors.Is(err, context.DeadlineExceeded) && request.Err() == nil {
			complete = false
			break
		}
		if err != nil {
			return nil, false, err
		}
		found = append(found, h.eventOf(event, most))
		bytes += found[len(found)-1].bytes()
		for len(found) > limit || len(found) > 1 && bytes > h.pageBytes {
			bytes -= found[0].bytes()
			found[0] = eventJSON{} // so that its value can go
			found, complete = found[1:], false
		}
	}
	slices.Reverse(found)
	return found, complete, nil
}
