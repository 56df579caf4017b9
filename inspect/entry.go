package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
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
	select {
	case h.histories <- struct{}{}:
		defer func() { <-h.histories }()
	case <-r.Context().Done():
		return r.Context().Err()
	}
	answer := struct {
		Events         []eventJSON `json:"events"`
		Complete       bool        `json:"complete"`
		OldestRevision uint64      `json:"oldest_revision,omitempty"`
	}{Events: []eventJSON{}, Complete: true}
	ctx, cancel := context.WithTimeout(r.Context(), h.historyTime)
	defer cancel()
	var found []eventJSON // the last ones, oldest first; twice the limit at most
	for event, err := range api.InContext(ctx, h.store).History(names[0], names[1]) {
		if errors.Is(err, context.DeadlineExceeded) && r.Context().Err() == nil {
			answer.Complete = false
			break
		}
		if err != nil {
			return err
		}
		if len(found) == 2*limit {
			found = found[:copy(found, found[limit:])]
			answer.Complete = false
		}
		found = append(found, h.eventOf(event, most))
	}
	if len(found) > limit {
		found = found[len(found)-limit:]
		answer.Complete = false
	}
	for i := len(found) - 1; i >= 0; i-- {
		answer.Events = append(answer.Events, found[i])
	}
	if h.whole != nil {
		if stats, err := h.cachedStats(r.Context()); err == nil {
			answer.OldestRevision = stats.OldestRevision
		}
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}
