package inspect

import (
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"forge.lthn.ai/core/go-store/api"
)

// in is the store for a request: calls through it end with the request.
func (h *handler) in(r *http.Request) api.Storer { return api.InContext(r.Context(), h.store) }

// get sends a value as what no browser makes anything of.
func (h *handler) get(w http.ResponseWriter, r *http.Request, names []string) error {
	if _, err := queryOf(r.URL.RawQuery); err != nil {
		return err
	}
	match, err := tagsOf(r.Header, "If-Match")
	if err != nil {
		return err
	}
	none, err := tagsOf(r.Header, "If-None-Match")
	if err != nil {
		return err
	}
	entry, err := h.in(r).Entry(names[0], names[1])
	if errors.Is(err, api.NotFoundError) && match.given {
		return mismatchOf(0)
	}
	if err != nil {
		return err
	}
	if match.given && !match.matches(entry.Revision, false) {
		return mismatchOf(entry.Revision)
	}
	header := w.Header()
	header.Set("ETag", etagOf(entry.Revision))
	header.Set("Go-Store-Revision", strconv.FormatUint(entry.Revision, 10))
	if !entry.ExpiresAt.IsZero() && carried(entry.ExpiresAt) {
		header.Set("Go-Store-Expires-At", timeOf(entry.ExpiresAt))
	}
	if none.given && none.matches(entry.Revision, true) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	contentType, file := "application/octet-stream", "value.bin"
	if utf8.ValidString(entry.Value) {
		contentType, file = "text/plain; charset=utf-8", "value.txt"
	}
	header.Set("Content-Type", contentType)
	header.Set("Content-Disposition", `attachment; filename="`+file+`"`)
	header.Set("Content-Length", strconv.Itoa(len(entry.Value)))
	_, _ = io.WriteString(w, entry.Value)
	return nil
}

// deadline is when a write has its key expire: in some time, at a moment, or never.
type deadline struct {
	in time.Duration // 0: not given so
	at time.Time     // zero: not given so
}

func deadlineOf(r *http.Request, p *parameters, moments bool) (d deadline, given bool, err error) {
	either := func(parameter, header string) (text string, given bool) {
		lines := r.Header.Values(header)
		if len(lines)+len(p.values[parameter]) > 1 {
			p.fail(badRequest("give %s once, as a parameter or as the header %s", parameter, header))
		}
		if len(lines) > 0 {
			return lines[0], true
		}
		return p.values.Get(parameter), p.values.Has(parameter)
	}
	in, inGiven := either("ttl", "Go-Store-TTL")
	at, atGiven := either("expires_at", "Go-Store-Expires-At")
	switch {
	case p.err != nil:
		return d, false, p.err
	case inGiven && atGiven:
		return d, false, badRequest("give ttl or expires_at, not both")
	case atGiven && !moments:
		return d, false, badRequest("expires_at is for PUT; here a key expires in some time: ttl")
	case atGiven:
		// To the millisecond first: the zero time would be no deadline.
		d.at, err = time.Parse(time.RFC3339, at)
		if d.at = d.at.Truncate(time.Millisecond); err != nil || d.at.IsZero() {
			return d, false, badRequest("expires_at is a time as RFC 3339 has it, such as 2026-01-31T12:00:00.000Z, not %q", at)
		}
		return d, true, nil
	case inGiven:
		d.in, err = timeToLive(in)
		return d, true, err
	}
	return d, false, nil
}

// timeToLive reads seconds, or a duration as Go writes it; never is 0.
func timeToLive(text string) (time.Duration, error) {
	if text == "never" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if seconds, numberErr := strconv.ParseFloat(text, 64); numberErr == nil && plainNumber(text) && seconds <= math.MaxInt64/1e9 {
		d, err = time.Duration(seconds*1e9), nil
	}
	if err != nil || d < time.Millisecond {
		return 0, badRequest("ttl is seconds (90, 0.5) or a duration (1h30m, 500ms), a millisecond at least and 292 years at most, or never: not %q", text)
	}
	return d, nil
}

func plainNumber(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
}

func (d deadline) set(b *api.Batch, group, key, value string) {
	switch {
	case d.in != 0:
		b.SetWithTTL(group, key, value, d.in)
	case !d.at.IsZero():
		b.SetUntil(group, key, value, d.at)
	default:
		b.Set(group, key, value)
	}
}

// put writes a key and says whether it was there.
func (h *handler) put(w http.ResponseWriter, r *http.Request, names []string) error {
	group, key := names[0], names[1]
	p, err := queryOf(r.URL.RawQuery, "ttl", "expires_at")
	if err != nil {
		return err
	}
	until, _, err := deadlineOf(r, p, true)
	if err != nil {
		return err
	}
	on, err := conditionsOf(r.Header)
	if err != nil {
		return err
	}
	if err := h.ours(group); err != nil {
		return err
	}
	value, err := h.body(w, r)
	if err != nil {
		return err
	}
	store := h.in(r)
	created := on.absent
	write := func(condition func(b *api.Batch)) (uint64, error) {
		var b api.Batch
		condition(&b)
		until.set(&b, group, key, value)
		return store.Batch(&b)
	}
	var revision uint64
	switch {
	case on.absent:
		revision, err = write(func(b *api.Batch) { b.IfAbsent(group, key) })
	case on.match.given:
		revision, err = conditionally(store, on.match, group, key, write)
	default:
		revision, created, err = whetherOrNot(store, group, key, write)
	}
	if err != nil {
		return err
	}
	status := http.StatusNoContent
	if created {
		status = http.StatusCreated
	}
	return written(w, status, revision)
}

func written(w http.ResponseWriter, status int, revision uint64) error {
	if revision != 0 {
		w.Header().Set("ETag", etagOf(revision))
		w.Header().Set("Go-Store-Revision", strconv.FormatUint(revision, 10))
	}
	w.WriteHeader(status)
	return nil
}

// whetherOrNot writes a key and tells whether it was there: each attempt is on the
// condition that it is as it was found. An attempt fails only because another's came first, so
// all together never stand still; the request's context ends one that always comes too late.
func whetherOrNot(store api.Storer, group, key string, write func(func(*api.Batch)) (uint64, error)) (revision uint64, created bool, err error) {
	found, err := store.Exists(group, key)
	if err != nil {
		return 0, false, err
	}
	for {
		revision, err = write(func(b *api.Batch) {
			if found {
				b.IfPresent(group, key)
			} else {
				b.IfAbsent(group, key)
			}
		})
		var mismatch *api.RevisionMismatchError
		if !errors.As(err, &mismatch) {
			return revision, !found, err
		}
		found = !found
	}
}

// conditionally writes if the key's revision is one of the tags', or in any case if none were
// given. A batch has a condition on one revision: what the key has, a failure tells.
func conditionally(store api.Storer, match tags, group, key string, write func(func(*api.Batch)) (uint64, error)) (uint64, error) {
	switch {
	case !match.given:
		return write(func(*api.Batch) {})
	case match.any:
		return write(func(b *api.Batch) { b.IfPresent(group, key) })
	}
	revisions := match.revisions()
	if len(revisions) == 0 {
		entry, err := store.Entry(group, key)
		if err != nil && !errors.Is(err, api.NotFoundError) {
			return 0, err
		}
		return 0, mismatchOf(entry.Revision)
	}
	expected := revisions[0]
	for tries := 0; ; tries++ {
		revision, err := write(func(b *api.Batch) { b.IfRevision(group, key, expected) })
		var mismatch *api.RevisionMismatchError
		if !errors.As(err, &mismatch) || tries == len(revisions) || !slices.Contains(revisions, mismatch.Current) {
			return revision, err
		}
		expected = mismatch.Current
	}
}

// body is the value that a PUT brings, all of it or an error.
func (h *handler) body(w http.ResponseWriter, r *http.Request) (string, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return "", &problem{status: http.StatusUnsupportedMediaType, code: "encoded_body", detail: "the body is kept as it is sent: leave Content-Encoding away"}
	}
	large := &problem{status: http.StatusRequestEntityTooLarge, code: "too_large",
		detail: "the body has more than the " + strconv.FormatInt(h.maxBody, 10) + " bytes that are accepted"}
	if r.ContentLength > h.maxBody {
		return "", large
	}
	release := h.limitBody(w, r)
	var value strings.Builder
	if r.ContentLength > 0 {
		value.Grow(int(min(r.ContentLength, 1<<20))) // a client may announce much and send little
	}
	_, err := io.Copy(&value, http.MaxBytesReader(w, r.Body, h.maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		release()
		return value.String(), nil
	case r.ProtoMajor == 1: // or the server would wait for the rest of it
		w.Header().Set("Connection", "close")
	}
	if errors.As(err, &tooLarge) {
		return "", large
	}
	return "", badRequest("the body did not come whole: %v", err)
}

// limitBody ends a body that does not come, where the server itself sets no limit.
func (h *handler) limitBody(w http.ResponseWriter, r *http.Request) (release func()) {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if server == nil || server.ReadTimeout != 0 {
		return func() {}
	}
	control := http.NewResponseController(w)
	if control.SetReadDeadline(time.Now().Add(h.bodyTime)) != nil {
		return func() {} // it can't be had: it is the program's own ResponseWriter
	}
	return func() { _ = control.SetReadDeadline(time.Time{}) }
}

// patch changes when a key expires.
func (h *handler) patch(w http.ResponseWriter, r *http.Request, names []string) error {
	group, key := names[0], names[1]
	p, err := queryOf(r.URL.RawQuery, "ttl")
	if err != nil {
		return err
	}
	until, given, err := deadlineOf(r, p, false)
	if err != nil {
		return err
	}
	if !given {
		return badRequest("say when the key is to expire: ttl=90, or ttl=never")
	}
	on, err := conditionsOf(r.Header)
	if err != nil {
		return err
	}
	if on.absent {
		return badRequest("a key that is not there can't expire: If-None-Match is for PUT")
	}
	if err := h.ours(group); err != nil {
		return err
	}
	store := h.in(r)
	touch := func(condition func(*api.Batch)) (uint64, error) {
		var b api.Batch
		condition(&b)
		if until.in == 0 {
			b.Persist(group, key)
		} else {
			b.Touch(group, key, until.in)
		}
		return store.Batch(&b)
	}
	revision, err := conditionally(store, on.match, group, key, touch)
	if err != nil {
		return err
	}
	return written(w, http.StatusNoContent, revision)
}

func (h *handler) delete(w http.ResponseWriter, r *http.Request, names []string) error {
	group, key := names[0], names[1]
	if _, err := queryOf(r.URL.RawQuery); err != nil {
		return err
	}
	on, err := conditionsOf(r.Header)
	if err != nil {
		return err
	}
	if on.absent {
		return badRequest("a key that is not there can't be deleted: If-None-Match is for PUT")
	}
	if err := h.ours(group); err != nil {
		return err
	}
	store := h.in(r)
	remove := func(condition func(*api.Batch)) (uint64, error) {
		var b api.Batch
		condition(&b)
		b.Delete(group, key)
		return store.Batch(&b)
	}
	revision, err := conditionally(store, on.match, group, key, remove)
	if err != nil {
		return err
	}
	if revision != 0 {
		w.Header().Set("Go-Store-Revision", strconv.FormatUint(revision, 10))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// ours refuses writes to rows whose content is the store's own: a row that is no message
// would stand in the way of all behind it.
func (h *handler) ours(group string) error {
	for _, prefix := range []string{api.OutboxPrefix, api.DeadPrefix, api.TimersPrefix} {
		if strings.HasPrefix(h.within+group, prefix) {
			return &problem{status: http.StatusForbidden, code: "reserved", detail: "the rows of this group are the store's own: they are changed by its methods only"}
		}
	}
	return nil
}
