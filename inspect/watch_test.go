package inspect_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/inspect"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// message is one server-sent event.
type message struct {
	id, kind, data string
	comment        bool
}

func (m message) field(name string) any {
	var fields map[string]any
	if json.Unmarshal([]byte(m.data), &fields) != nil {
		return nil
	}
	return fields[name]
}

// listening is a stream that is read.
type listening struct {
	t        testing.TB
	scanner  *bufio.Scanner
	end      context.CancelFunc
	response *http.Response
}

// listen opens a stream. What is sent before the open event is its own.
func (s site) listen(query string, headers ...string) *listening {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	r, err := http.NewRequestWithContext(ctx, "GET", s.url+"v1/watch?"+query, http.NoBody)
	require.NoError(s.t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, response.StatusCode)
	require.Equal(s.t, "text/event-stream", response.Header.Get("Content-Type"))
	require.Equal(s.t, "no-store", response.Header.Get("Cache-Control"))
	scanner := bufio.NewScanner(response.Body)
	scanner.Buffer(nil, 64<<20)
	l := &listening{t: s.t, scanner: scanner, end: cancel, response: response}
	s.t.Cleanup(l.close)
	return l
}

func (l *listening) close() {
	l.end()
	_ = l.response.Body.Close() // it may have ended by itself
}

// next is the next message that is not a comment or a time to wait; with false the stream
// has ended.
func (l *listening) next() (m message, ok bool) {
	m, ok = readMessage(l.scanner)
	for ok && m.kind == "" {
		m, ok = readMessage(l.scanner)
	}
	return m, ok
}

func readMessage(scanner *bufio.Scanner) (m message, ok bool) {
	for scanner.Scan() {
		switch line := scanner.Text(); {
		case line == "":
			return m, true
		case strings.HasPrefix(line, ":"):
			m.comment = true
		case strings.HasPrefix(line, "id: "):
			m.id = line[4:]
		case strings.HasPrefix(line, "event: "):
			m.kind = line[7:]
		case strings.HasPrefix(line, "data: "):
			m.data = line[6:]
		}
	}
	return m, false
}

// want is the next one, which is of a kind.
func (l *listening) want(kind string) message {
	l.t.Helper()
	m, ok := l.next()
	require.True(l.t, ok, "the stream has ended: %v", l.scanner.Err())
	require.Equal(l.t, kind, m.kind, "%s", m.data)
	return m
}

// TestWatch: changes come as they are committed, with all that is known of them.
func TestWatch(t *testing.T) {
	store := open(t)
	require.NoError(t, store.Set("before", "k", "v"))
	s := serve(t, store)
	l := s.listen("")
	m := l.want("open")
	require.Equal(t, message{id: "1.end", kind: "open", data: `{"revision":1}`}, m)
	require.NoError(t, store.SetWithTTL("g", "k", "<b>", time.Hour))
	m = l.want("set")
	require.Equal(t, "2", m.id)
	for field, want := range map[string]any{"type": "set", "revision": 2., "group": "g", "group_segment": "g", "key": "k", "segment": "k", "value": "<b>", "size": 3.} {
		require.Equal(t, want, m.field(field), field)
	}
	require.NotNil(t, m.field("expires_at"))
	require.NotNil(t, m.field("time"))
	require.NotContains(t, m.data, "<")
	require.NoError(t, store.Set("\xFF", "", "\xFE\n"))
	m = l.want("set")
	require.Equal(t, "\xFF", named(t, m.data, "group"))
	require.Equal(t, "\xFE\n", named(t, m.data, "value"))
	require.Equal(t, ",", m.field("segment"))
	require.NoError(t, store.Delete("g", "k"))
	require.NoError(t, store.DeleteGroup("before"))
	require.Equal(t, nil, l.want("delete").field("value"))
	m = l.want("delete_group")
	require.Equal(t, []any{"before", nil, nil}, []any{m.field("group"), m.field("key"), m.field("segment")})
	require.NoError(t, store.SetWithTTL("g", "gone", "last", 0))
	l.want("set")
	require.Equal(t, "last", l.want("expire").field("value"))
}

// TestWatchFilters: by group and key, whole or by their beginning.
func TestWatchFilters(t *testing.T) {
	store := open(t)
	s := serve(t, store)
	rows := [][2]string{{"a", "k"}, {"a", "l"}, {"ab", "k"}, {"ab", "kk"}, {"\xFF", "\x00"}, {"", ""}}
	for query, fits := range map[string]func(group, key string) bool{
		"":                                    func(string, string) bool { return true },
		"group=a":                             func(g, _ string) bool { return g == "a" },
		"group_prefix=a":                      func(g, _ string) bool { return strings.HasPrefix(g, "a") },
		"group=ab&key=k":                      func(g, k string) bool { return g == "ab" && k == "k" },
		"group_prefix=a&key_prefix=k":         func(g, k string) bool { return strings.HasPrefix(g, "a") && strings.HasPrefix(k, "k") },
		"key=k":                               func(_, k string) bool { return k == "k" },
		"group=%FF&key=%00":                   func(g, k string) bool { return g == "\xFF" },
		"group_base64=_w&key_base64=AA%3D%3D": func(g, k string) bool { return g == "\xFF" },
		"group=&key=":                         func(g, k string) bool { return g == "" && k == "" },
	} {
		l := s.listen(query)
		l.want("open")
		var want []string
		for _, row := range rows {
			require.NoError(t, store.Set(row[0], row[1], query))
			if fits(row[0], row[1]) {
				want = append(want, row[0]+"/"+row[1])
			}
		}
		for _, at := range want {
			m := l.want("set")
			require.Equal(t, at, named(t, m.data, "group")+"/"+named(t, m.data, "key"), query)
		}
		l.close()
	}
	for _, query := range []string{"group=a&group_prefix=a", "key=a&key_prefix=a", "group=a&group=b", "group=a&group_base64=YQ", "since=x", "since=-1", "since=",
		"since=18446744073709551615", "since=18446744073709551616", "state=maybe", "since=1&state=1", "max_value=-1", "groups=a", "group_base64=!"} {
		s.problem(http.StatusBadRequest, "bad_request", s.get("v1/watch?"+query))
	}
	for _, id := range []string{"x", "-1", "1.", "1.0", "1.1", "1.x", "1.2.3", "01", "18446744073709551615", "18446744073709551616", "1.99999999999"} {
		s.problem(http.StatusBadRequest, "bad_request", s.get("v1/watch", "Last-Event-ID", id))
	}
}

// TestWatchResumes wherever it was interrupted, also within the changes of one request:
// nothing is missing, and nothing comes twice.
func TestWatchResumes(t *testing.T) {
	store := open(t)
	s := serve(t, store)
	for i := range 20 {
		batch := new(api.Batch)
		for k := range i%4 + 1 {
			batch.Set("g", fmt.Sprint(k), fmt.Sprint(i)).Set("other", fmt.Sprint(k), "x")
		}
		_, err := store.Batch(batch)
		require.NoError(t, err)
	}
	whole := s.listen("since=0&group=g")
	whole.want("open")
	var all []message
	for range 50 {
		all = append(all, whole.want("set"))
	}
	whole.close()
	for cut := range all {
		l := s.listen("since=0&group=g", "Last-Event-ID", all[cut].id)
		l.want("open")
		for _, want := range all[cut+1:] {
			require.Equal(t, want, l.want("set"), "after %s", all[cut].id)
		}
		require.NoError(t, store.Set("g", "new", fmt.Sprint(cut)))
		m := l.want("set")
		require.Equal(t, "new", m.field("key"))
		l.close()
		all = append(all, m)
		if cut > 20 {
			break
		}
	}
	l := s.listen("since=19&group=g")
	l.want("open")
	require.Equal(t, 20., l.want("set").field("revision"))
}

// TestWatchState: what there is, then that this was all, then changes.
func TestWatchState(t *testing.T) {
	store := open(t)
	for i := range 3 {
		require.NoError(t, store.Set("g", fmt.Sprint(i), "v"))
	}
	require.NoError(t, store.Set("g", "0", "again"))
	s := serve(t, store)
	l := s.listen("state=true&group=g")
	require.Empty(t, l.want("open").id)
	for i, revision := range []float64{4, 2, 3} {
		m := l.want("set")
		require.Equal(t, []any{"", fmt.Sprint(i), revision, nil}, []any{m.id, m.field("key"), m.field("revision"), m.field("time")})
	}
	require.Equal(t, message{id: "4.end", kind: "synced", data: `{"revision":4}`}, l.want("synced"))
	require.NoError(t, store.Set("g", "1", "later"))
	require.Equal(t, "5", l.want("set").id)
	l.close()
	l = s.listen("state=true&group=g", "Last-Event-ID", "4.end") // a browser that connects again
	l.want("open")
	require.Equal(t, "5", l.want("set").id)
}

// TestWatchGaps: what the log does not hold is said to be missing, and the stream goes on.
func TestWatchGaps(t *testing.T) {
	store := open(t, api.WithHistory(api.Retention{Revisions: 16}))
	for i := range 200 {
		require.NoError(t, store.Set("g", fmt.Sprint(i), "v"))
	}
	stats, err := store.Stats()
	require.NoError(t, err)
	require.Greater(t, stats.OldestRevision, uint64(100))
	s := serve(t, store)
	for query, from := range map[string]uint64{"since=0": 1, "since=50": 51} {
		l := s.listen(query)
		l.want("open")
		m := l.want("gap")
		require.JSONEq(t, fmt.Sprintf(`{"from":%d,"to":%d,"reason":"compacted"}`, from, stats.OldestRevision-1), m.data)
		require.Equal(t, fmt.Sprintf("%d.end", stats.OldestRevision-1), m.id)
		require.Equal(t, float64(stats.OldestRevision), l.want("set").field("revision"))
		l.close()
	}
	l := s.listen("", "Last-Event-ID", "1000")
	l.want("open")
	m := l.want("gap")
	require.JSONEq(t, `{"from":200,"to":200,"reason":"future"}`, m.data)
	require.NoError(t, store.Set("g", "new", "v"))
	require.Equal(t, 201., l.want("set").field("revision"))
	l.close()
	l = s.listen("since=18446744073709551614")
	l.want("open")
	l.want("gap")
}

// TestWatchLongValues are cut where that is asked for, between characters.
func TestWatchLongValues(t *testing.T) {
	store := open(t)
	s := serve(t, store)
	short, whole := s.listen("max_value=4"), s.listen("")
	short.want("open")
	whole.want("open")
	value := strings.Repeat("é日", 1<<20)
	require.NoError(t, store.Set("g", "k", value))
	m := short.want("set")
	require.Equal(t, []any{"é", true, float64(len(value))}, []any{m.field("value"), m.field("truncated"), m.field("size")})
	require.Equal(t, value, whole.want("set").field("value"))
}

// TestWatchEnds with the store, and says so; and with its caller, whatever it is at.
func TestWatchEnds(t *testing.T) {
	store, err := api.New(":memory:")
	require.NoError(t, err)
	h := inspect.Handler(store)
	s := serveHandler(t, h)
	gone, stays := s.listen(""), s.listen("")
	gone.want("open")
	stays.want("open")
	require.Equal(t, 2, inspect.Streams(h))
	gone.close()
	testkit.Until(t, "the stream has ended", func() bool { return inspect.Streams(h) == 1 })
	require.NoError(t, store.Close())
	require.Contains(t, stays.want("error").data, `"code":"closed"`)
	_, more := stays.next()
	require.False(t, more)
	testkit.Until(t, "the stream has ended", func() bool { return inspect.Streams(h) == 0 })
}

// TestTooManyStreams are refused, and one that has ended makes room.
func TestTooManyStreams(t *testing.T) {
	store := open(t)
	h := inspect.Handler(store)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range inspect.MaxStreams {
		all.Go(func() {
			r := httptest.NewRequestWithContext(ctx, "GET", "http://localhost/v1/watch", http.NoBody)
			r.RemoteAddr = "127.0.0.1:5"
			h.ServeHTTP(httptest.NewRecorder(), r)
		})
	}
	testkit.Until(t, "all streams have begun", func() bool { return inspect.Streams(h) == inspect.MaxStreams })
	w := direct(h, "GET", "http://localhost/v1/watch", "localhost", "127.0.0.1:5")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "5", w.Header().Get("Retry-After"))
	cancel()
	all.Wait()
	require.Zero(t, inspect.Streams(h))
	w = direct(h, "HEAD", "http://localhost/v1/watch", "localhost", "127.0.0.1:5")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "text/event-stream", w.Header().Get("Content-Type"))
}

// TestSlowReaders: a caller that takes nothing is disconnected, and no goroutine waits for it.
func TestSlowReaders(t *testing.T) {
	store := open(t)
	h := inspect.WithBounds(inspect.Handler(store), inspect.Bounds{Patience: 100 * time.Millisecond})
	s := serveHandler(t, h)
	connection, err := net.Dial("tcp", strings.TrimPrefix(strings.Split(s.url, "/some")[0], "http://"))
	require.NoError(t, err)
	defer connection.Close()
	_, err = io.WriteString(connection, "GET /some/where/v1/watch HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)
	testkit.Until(t, "the stream has begun", func() bool { return inspect.Streams(h) == 1 })
	value := strings.Repeat("x", 1<<20)
	for i := 0; inspect.Streams(h) > 0; i++ {
		require.NoError(t, store.Set("g", "k", value))
		require.Less(t, i, 1000, "it is still there")
	}
}

// pipe is a ResponseWriter without a network, for the time of a synctest bubble.
type pipe struct {
	header http.Header
	text   chan string
}

func (p *pipe) Header() http.Header { return p.header }
func (p *pipe) WriteHeader(int)     {}
func (p *pipe) Flush()              {}
func (p *pipe) Write(text []byte) (int, error) {
	p.text <- string(text)
	return len(text), nil
}

// TestHeartbeats: a silent stream says that it is there; one whose filter is for nothing
// of what happens says how far it is.
func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := api.New(":memory:")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		p, done := &pipe{make(http.Header), make(chan string, 1000)}, make(chan struct{})
		go func() {
			defer close(done)
			r := httptest.NewRequestWithContext(ctx, "GET", "http://localhost/v1/watch?group=mine", http.NoBody)
			r.RemoteAddr = "127.0.0.1:5"
			inspect.Handler(store).ServeHTTP(p, r)
		}()
		synctest.Wait()
		require.Equal(t, "retry: 2000\n\n", <-p.text)
		require.Equal(t, "id: 0.end\nevent: open\ndata: {\"revision\":0}\n\n", <-p.text)
		time.Sleep(14 * time.Second)
		synctest.Wait()
		require.Empty(t, p.text)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, ": nothing has changed\n\n", <-p.text)
		require.NoError(t, store.Set("other", "k", "v"))
		time.Sleep(11 * time.Second)
		synctest.Wait()
		require.Equal(t, "id: 1.end\nevent: progress\ndata: {\"revision\":1}\n\n", <-p.text)
		require.Empty(t, p.text)
		cancel()
		<-done
		require.NoError(t, store.Close())
		time.Sleep(2 * time.Second) // Proto.Actor's dead letters
	})
}

// unflushable hides that a ResponseWriter can flush.
type unflushable struct{ http.ResponseWriter }

// TestWritersThatCanNotFlush are told before anything is sent.
func TestWritersThatCanNotFlush(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "http://localhost/v1/watch", http.NoBody)
	r.RemoteAddr = "127.0.0.1:5"
	inspect.Handler(open(t)).ServeHTTP(unflushable{w}, r)
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Contains(t, w.Body.String(), "can't flush")
}
