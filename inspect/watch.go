package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// watch streams changes until its caller goes, the store is closed, or the caller takes
// nothing for too long. The stream is written by the request's goroutine alone; another
// one has the loop over the subscription, since that blocks while nothing changes.
func (h *handler) watch(w http.ResponseWriter, r *http.Request, _ []string) error {
	wanted, err := wantedOf(r)
	if err != nil {
		return err
	}
	if !canFlush(w) {
		return &problem{status: http.StatusInternalServerError, code: "misconfigured", detail: "the program's http.ResponseWriter can't flush: it is to have Flush, or Unwrap"}
	}
	select {
	case h.streams <- struct{}{}:
		defer func() { <-h.streams }()
	default:
		return &problem{status: http.StatusServiceUnavailable, code: "busy", detail: "there are " + strconv.Itoa(maxStreams) + " streams already", headers: map[string]string{"Retry-After": "5"}}
	}
	current, err := h.in(r).Revision()
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead { // the stream would never end, and no client see it
		w.Header().Set("Content-Type", eventStream)
		return nil
	}
	ctx, cancel := context.WithCancel(r.Context())
	f := &feed{handler: h, wanted: wanted, items: make(chan item), current: current}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.run(ctx)
	}()
	s := &stream{w: w, control: http.NewResponseController(w), patience: h.patience}
	s.run(ctx, f, h.heartbeat, h.progress)
	cancel()
	<-done
	return nil
}

const eventStream = "text/event-stream"

// wanted is what a caller asks to be streamed.
type wanted struct {
	filter api.Filter
	begin  position // of which everything was seen before; only with resume
	resume bool
	state  bool
	most   int // bytes of a value
}

// position is how far a caller has got: all before a revision, and of that so many events.
type position struct {
	revision uint64
	events   int // all: math.MaxInt
}

func (p position) String() string {
	switch p.events {
	case 1:
		return strconv.FormatUint(p.revision, 10)
	case math.MaxInt:
		return strconv.FormatUint(p.revision, 10) + ".end"
	default:
		return strconv.FormatUint(p.revision, 10) + "." + strconv.Itoa(p.events)
	}
}

func positionOf(id string) (p position, err error) {
	revision, events, found := strings.Cut(id, ".")
	if p.revision, err = parseDecimal(revision); err == nil {
		switch {
		case !found:
			p.events = 1
		case events == "end":
			p.events = math.MaxInt
		default:
			var n uint64
			if n, err = parseDecimal(events); n < 2 || n >= math.MaxInt32 {
				err = errors.New("no number of events")
			}
			p.events = int(n)
		}
	}
	if err != nil || p.revision == math.MaxUint64 {
		return p, badRequest("Last-Event-ID is an id that came with an event, not %q", id)
	}
	return p, nil
}

func wantedOf(r *http.Request) (wanted, error) {
	p, err := queryOf(r.URL.RawQuery, "group*", "group_prefix*", "key*", "key_prefix*", "since", "state", "max_value")
	if err != nil {
		return wanted{}, err
	}
	match := func(name string) api.Match {
		if p.has(name) && p.has(name+"_prefix") {
			p.fail(badRequest("give %s or %s_prefix, not both", name, name))
		}
		if p.has(name) {
			return api.Exactly(p.text(name))
		}
		return api.Prefix(p.text(name + "_prefix"))
	}
	want := wanted{filter: api.Filter{Group: match("group"), Key: match("key")}, state: p.flag("state"), most: p.maxValue(math.MaxInt32)}
	if p.has("since") {
		want.resume, want.begin = true, position{p.number("since", 0, math.MaxUint64-1, 0), math.MaxInt}
		if want.state {
			p.fail(badRequest("give since or state, not both: a stream begins with what there is, or with what came after"))
		}
	}
	if p.err != nil {
		return want, p.err
	}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		want.resume, want.state = true, false
		if want.begin, err = positionOf(id); err != nil {
			return want, err
		}
	}
	return want, nil
}

// item is one event of a stream.
type item struct {
	kind string
	id   string // empty: none
	data any
}

// feed is the loop over the subscription.
type feed struct {
	*handler
	wanted
	items    chan item
	current  uint64        // when the stream began
	reported atomic.Uint64 // everything up to here was handed over, to whichever stream

	// Owned by run.
	seen position // of the last event
	skip position // events that the caller has had already
}

type revisionJSON struct {
	Revision uint64 `json:"revision"`
}

type gapJSON struct {
	From   uint64 `json:"from"`
	To     uint64 `json:"to"`
	Reason string `json:"reason"`
}

// run hands events over until the context ends or there are no more, and then closes
// items.
func (f *feed) run(ctx context.Context) {
	defer close(f.items)
	options := api.SubscribeOptions{Filters: []api.Filter{f.filter}, State: f.state, Progress: f.progress}
	opened := item{kind: "open", data: revisionJSON{f.current}}
	switch {
	case f.resume && f.begin.events == math.MaxInt:
		options.From = f.begin.revision + 1
		opened.data = revisionJSON{f.begin.revision}
	case f.resume:
		options.From = max(f.begin.revision, 1)
		f.skip = f.begin
		opened.data = revisionJSON{f.begin.revision}
	case !f.state:
		options.From = f.current + 1
		opened.id = position{f.current, math.MaxInt}.String()
	}
	if !f.send(ctx, opened) {
		return
	}
	for {
		err := f.follow(ctx, options)
		if err == nil || ctx.Err() != nil {
			return
		}
		next, gap := missing(err)
		if next <= options.From && gap.Reason == "compacted" || gap.Reason == "" {
			p := problemOf(err)
			f.send(ctx, item{kind: "error", data: map[string]string{"code": p.code, "detail": p.detail}})
			return
		}
		f.skip = position{}
		options.From, options.State = next, false
		if !f.send(ctx, item{kind: "gap", id: position{next - 1, math.MaxInt}.String(), data: gap}) {
			return
		}
	}
}

// missing is what an error of a subscription says is not to be had, and where to go on.
func missing(err error) (next uint64, gap gapJSON) {
	var compacted *api.CompactedError
	var future *api.FutureRevisionError
	switch {
	case errors.As(err, &compacted):
		return compacted.Oldest, gapJSON{compacted.Requested, compacted.Oldest - 1, "compacted"}
	case errors.As(err, &future):
		return future.Current + 1, gapJSON{future.Current, future.Current, "future"}
	}
	return 0, gap
}

// follow hands over what one subscription yields. It returns nothing once the client wants no
// more.
func (f *feed) follow(ctx context.Context, options api.SubscribeOptions) error {
	describing := options.State // events are of what there is, and have revisions in no order
	for event, err := range f.store.Subscribe(ctx, options) {
		if err != nil {
			return err
		}
		next := item{kind: event.Type.String()}
		switch event.Type {
		case api.EventProgress:
			f.reported.Store(event.Revision)
			continue
		case api.EventSynced:
			describing = false
			next.id, next.data = position{event.Revision, math.MaxInt}.String(), revisionJSON{event.Revision}
		default:
			if !describing && !f.count(event.Revision, &next) {
				continue
			}
			next.data = f.eventOf(event, f.most)
		}
		if !f.send(ctx, next) {
			return nil
		}
	}
	return nil
}

// count gives an event its id, or says that the caller has had it.
func (f *feed) count(revision uint64, next *item) (wanted bool) {
	if revision != f.seen.revision {
		f.seen = position{revision: revision}
	}
	f.seen.events++
	next.id = f.seen.String()
	return revision != f.skip.revision || f.seen.events > f.skip.events
}

func (f *feed) send(ctx context.Context, next item) bool {
	select {
	case f.items <- next:
		return true
	case <-ctx.Done():
		return false
	}
}

// stream writes events to a caller.
type stream struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	told     uint64 // the revision that the caller was last told of
}

func (s *stream) run(ctx context.Context, f *feed, heartbeat, progress time.Duration) {
	header := s.w.Header()
	header.Set("Content-Type", eventStream)
	header.Set("X-Accel-Buffering", "no") // nginx
	s.w.WriteHeader(http.StatusOK)
	if s.write("retry: 2000\n\n") != nil {
		return
	}
	beats, reports := time.NewTicker(heartbeat), time.NewTicker(progress)
	defer beats.Stop()
	defer reports.Stop()
	for {
		var err error
		select {
		case next, open := <-f.items:
			if !open {
				return
			}
			if err = s.events(next, f.items); err == nil {
				beats.Reset(heartbeat)
			}
		case <-reports.C:
			if reached := f.reported.Load(); reached > s.told {
				s.told = reached
				err = s.events(item{"progress", position{reached, math.MaxInt}.String(), revisionJSON{reached}}, nil)
			}
		case <-beats.C:
			err = s.write(": nothing has changed\n\n")
		case <-ctx.Done():
			return
		}
		if err != nil {
			return // the caller is gone, or too slow
		}
	}
}

// maxTogether is how much is written before it is flushed, in bytes.
const maxTogether = 64 << 10

// events writes an event, and with it those that are there already.
func (s *stream) events(next item, more <-chan item) error {
	var text strings.Builder
	for {
		if err := s.add(&text, next); err != nil {
			return err
		}
		if text.Len() >= maxTogether {
			break
		}
		var open bool
		select {
		case next, open = <-more:
		default:
		}
		if !open {
			break
		}
	}
	return s.write(text.String())
}

func (s *stream) add(text *strings.Builder, next item) error {
	data, err := json.Marshal(next.data) // in which there is no line feed
	if err != nil {
		return fmt.Errorf("put an event into JSON: %w", err)
	}
	if e, ok := next.data.(eventJSON); ok {
		s.told = max(s.told, e.Revision)
	}
	if next.id != "" {
		text.WriteString("id: " + next.id + "\n")
	}
	text.WriteString("event: " + next.kind + "\ndata: ")
	text.Write(data)
	text.WriteString("\n\n")
	return nil
}

// write gives the caller so much time to take it; a stream has no other end in time, also
// where the server sets one for requests.
func (s *stream) write(text string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(s.patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	if err := s.control.Flush(); err != nil {
		return err
	}
	if err := s.control.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

func canFlush(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case http.Flusher, interface{ FlushError() error }:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}
