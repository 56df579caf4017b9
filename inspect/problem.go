package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"forge.lthn.ai/core/go-store/api"
)

// problem is why a request was not done, as its caller is told (RFC 9457).
type problem struct {
	status   int
	code     string // for programs
	detail   string // for people
	headers  map[string]string
	mismatch bool
	revision uint64 // of a mismatch: the current one
}

func (p *problem) Error() string { return p.detail }

func badRequest(format string, arguments ...any) *problem {
	return &problem{status: http.StatusBadRequest, code: "bad_request", detail: fmt.Sprintf(format, arguments...)}
}

func (p *problem) write(w http.ResponseWriter) {
	for name, value := range p.headers {
		w.Header().Set(name, value)
	}
	body := struct {
		Title    string  `json:"title"`
		Status   int     `json:"status"`
		Code     string  `json:"code"`
		Detail   string  `json:"detail"`
		Revision *uint64 `json:"revision,omitempty"`
	}{Title: http.StatusText(p.status), Status: p.status, Code: p.code, Detail: strings.ToValidUTF8(p.detail, "\uFFFD")}
	if p.mismatch {
		body.Revision = &p.revision
		if p.revision != 0 {
			w.Header().Set("ETag", etagOf(p.revision))
		}
	}
	writeJSON(w, "application/problem+json", p.status, body)
}

func writeJSON(w http.ResponseWriter, contentType string, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		text, status = []byte(`{"title":"Internal Server Error","status":500,"code":"internal","detail":"the answer can't be put into JSON"}`), http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a client that is gone needs no answer
}

// causes are what the store's errors are to a caller: the first that fits. What may
// have been written comes before what was refused.
var causes = []struct {
	err    error
	status int
	code   string
}{
	{api.UnknownOutcomeError, http.StatusInternalServerError, "unknown_outcome"},
	{api.NotFoundError, http.StatusNotFound, "not_found"},
	{api.QuotaExceededError, http.StatusInsufficientStorage, "quota_exceeded"},
	{api.TooLargeError, http.StatusRequestEntityTooLarge, "too_large"},
	{api.InvalidCursorError, http.StatusBadRequest, "invalid_cursor"},
	{api.InvalidDeadlineError, http.StatusBadRequest, "invalid_deadline"},
	{api.InvalidScanError, http.StatusBadRequest, "bad_request"},
	{api.ReadOnlyError, http.StatusForbidden, "read_only"},
	{api.ClosedError, http.StatusServiceUnavailable, "closed"},
	{api.DegradedError, http.StatusServiceUnavailable, "degraded"},
	{api.FileLostError, http.StatusServiceUnavailable, "file_lost"},
	{api.RolledBackError, http.StatusServiceUnavailable, "rolled_back"},
	{api.BusyError, http.StatusServiceUnavailable, "busy"},
	{api.TooManySnapshotsError, http.StatusServiceUnavailable, "busy"},
	{api.SnapshotExpiredError, http.StatusServiceUnavailable, "snapshot_expired"},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, "timeout"},
	{context.Canceled, http.StatusServiceUnavailable, "cancelled"},
}

// problemOf is what an error is to a caller.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	var mismatch *api.RevisionMismatchError
	if errors.As(err, &mismatch) {
		return mismatchOf(mismatch.Current)
	}
	for _, cause := range causes {
		if errors.Is(err, cause.err) {
			p := &problem{status: cause.status, code: cause.code, detail: err.Error()}
			if p.status == http.StatusServiceUnavailable {
				p.headers = map[string]string{"Retry-After": "1"}
			}
			return p
		}
	}
	return &problem{status: http.StatusInternalServerError, code: "internal", detail: err.Error()}
}

func mismatchOf(current uint64) *problem {
	detail := fmt.Sprintf("the key has revision %d: read it again and decide anew", current)
	if current == 0 {
		detail = "the key is not there: read it again and decide anew"
	}
	return &problem{status: http.StatusPreconditionFailed, code: "revision_mismatch", detail: detail, mismatch: true, revision: current}
}
