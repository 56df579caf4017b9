package inspect

import (
	"strings"

	"forge.lthn.ai/core/go-store/api"
)

// eventJSON is a change, on a stream and in a history.
type eventJSON struct {
	Type     string `json:"type"`
	Revision uint64 `json:"revision"`
	Time     string `json:"time,omitempty"`
	groupJSON
	GroupSegment string `json:"group_segment"`
	keyJSON
	Segment string `json:"segment,omitempty"`
	valueJSON
	expiryJSON
}

// eventOf is an event with at most so many bytes of its value.
func (h *handler) eventOf(e api.Event, most int) eventJSON {
	group := strings.TrimPrefix(e.Group, h.within)
	j := eventJSON{Type: e.Type.String(), Revision: e.Revision, groupJSON: groupOf(group), GroupSegment: groupSegmentOf(group), expiryJSON: expiryOf(e.ExpiresAt)}
	if !e.Timestamp.IsZero() {
		j.Time = timeOf(e.Timestamp)
	}
	if e.Type != api.EventDeleteGroup {
		j.keyJSON, j.Segment = keyOf(e.Key), segmentOf(e.Key)
	}
	if e.Type == api.EventSet || e.Type == api.EventExpire {
		j.valueJSON = valueOf(e.Value, most)
	}
	return j
}

// bytes is what its value and its names take, about.
func (j *eventJSON) bytes() int {
	n := len(j.GroupSegment) + len(j.Segment) + len(j.ValueBase64)
	if j.Value != nil {
		n += len(*j.Value)
	}
	return n
}
