package inspect

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"forge.lthn.ai/core/go-store/api"
)

// Handler shows a store, or one namespace of it if it is given an *api.ScopedStore, under
// whatever path it is mounted at; http.StripPrefix is to take that away. See Option for
// what it does beyond that, and openapi.yaml for its routes.
//
// It starts nothing and needs no end: streams of changes end with their callers, with the
// store, or with the server's base context. http.Server.Shutdown waits for streams; end
// that context first, as in the example.
func Handler(store api.Storer, options ...Option) http.Handler {
	h := &handler{
		config:      config{hosts: make(map[string]bool), maxBody: DefaultMaxBody},
		store:       store,
		crossOrigin: http.NewCrossOriginProtection(),
		streams:     make(chan struct{}, maxStreams),
		histories:   make(chan struct{}, maxHistories),
		counting:    make(chan struct{}, 1),
		settings:    standard,
	}
	missing := store == nil
	switch s := store.(type) {
	case *api.Store:
		h.whole, missing = s, s == nil
	case *api.ScopedStore:
		if missing = s == nil; !missing {
			h.scope, h.within = s, s.Namespace()+":"
		}
	}
	if missing {
		h.broken = append(h.broken, api.NilStoreError)
	}
	for _, option := range options {
		if option == nil {
			continue
		}
		if err := option(&h.config); err != nil {
			h.broken = append(h.broken, err)
		}
	}
	return h
}

// handler answers requests. All of it but stats is immutable.
type handler struct {
	config
	settings
	store       api.Storer
	whole       *api.Store       // nil: it shows a namespace
	scope       *api.ScopedStore // nil: it shows the whole store
	within      string           // what stands before the groups of events
	broken      []error          // why it can't answer anything
	crossOrigin *http.CrossOriginProtection

	streams   chan struct{} // a place for each stream there is
	histories chan struct{} // and for each history that is read
	counting  chan struct{} // has something in it while stats are counted
	stats     statsCache    // owned by the goroutine that has put something into counting
}

// maxHistories is how many histories are read at a time: each reads the whole log.
const maxHistories = 2

// operation answers a request. names are those in the path. What it returns as an error
// it has written nothing for.
type operation func(h *handler, w http.ResponseWriter, r *http.Request, names []string) error

// route is a path, in which {} stands for the segment of a name, and what can be done there.
type route struct {
	path    string
	methods map[string]operation
}

func reads(get operation) map[string]operation { return map[string]operation{http.MethodGet: get} }

// routes are all that there are beside the page; openapi.yaml has the same, as a test
// proves. The first that fits counts.
var routes = []route{
	{"openapi.yaml", reads((*handler).openAPI)},
	{"metrics", reads(figures(func(w http.ResponseWriter, r *http.Request, m api.Metrics) { writePrometheus(w, r, m) }))},
	{"vars", reads(figures(writeVars))},
	{"v1", reads((*handler).groups)},
	{"v1/", reads((*handler).groups)},
	{"v1/" + watchSegment, reads((*handler).watch)},
	{"v1/{}", reads((*handler).keys)},
	{"v1/{}/{}", map[string]operation{
		http.MethodGet:    (*handler).get,
		http.MethodPut:    (*handler).put,
		http.MethodPatch:  (*handler).patch,
		http.MethodDelete: (*handler).delete,
	}},
	{"ui/info", reads((*handler).info)},
	{"ui/tree", reads((*handler).tree)},
	{"ui/count", reads((*handler).count)},
	{"ui/entry/{}/{}", reads((*handler).entry)},
	{"ui/history/{}/{}", reads((*handler).history)},
	{"ui/search", reads((*handler).search)},
	{"ui/namespaces", reads((*handler).namespaces)},
	{"ui/stats", reads((*handler).showStats)},
	{"ui/metrics", reads((*handler).metrics)},
	{"ui/listeners", reads((*handler).listeners)},
}

// watchSegment is where the stream of changes is, and not the list of a group's keys.
const watchSegment = "watch"

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	if err := h.serve(w, r); err != nil {
		problemOf(err).write(w)
	}
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request) error {
	if len(h.broken) > 0 {
		return &problem{status: http.StatusInternalServerError, code: "misconfigured", detail: "inspect.Handler: " + errors.Join(h.broken...).Error()}
	}
	// The path as it was sent: a name may hold what the decoded one would be taken apart at.
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/")
	found, names, err := find(path)
	open := found == nil || found.path == "openapi.yaml"
	if refused := h.admit(r, open); refused != nil {
		return refused
	}
	switch {
	case err != nil:
		return err
	case found == nil:
		return h.page(w, r, path)
	}
	method := r.Method
	if method == http.MethodHead && found.methods[method] == nil {
		method = http.MethodGet // the server leaves the body away
	}
	operate := found.methods[method]
	if operate == nil {
		return methodProblem(found.methods)
	}
	if method != http.MethodGet && !h.writes {
		return &problem{status: http.StatusForbidden, code: "read_only", detail: "the inspector changes nothing here: the program allows it by WithWrites"}
	}
	return operate(h, w, r, names)
}

func methodProblem(methods map[string]operation) *problem {
	var allowed []string
	for method := range methods {
		allowed = append(allowed, method)
	}
	allowed = append(allowed, http.MethodHead)
	slices.Sort(allowed)
	return &problem{status: http.StatusMethodNotAllowed, code: "method_not_allowed", detail: "there is nothing to be done here by that method",
		headers: map[string]string{"Allow": strings.Join(allowed, ", ")}}
}

// find is the route of a path, with the names in it; nil: it is the page or an asset of it.
func find(path string) (*route, []string, error) {
	switch first, _, _ := strings.Cut(path, "/"); {
	case first == "v1", first == "ui", path == "openapi.yaml", path == "metrics", path == "vars":
	default:
		return nil, nil, nil
	}
	for i := range routes {
		segments, ok := routes[i].match(path)
		if !ok {
			continue
		}
		names := make([]string, len(segments))
		for n, segment := range segments {
			name, err := nameOf(segment)
			if err != nil {
				return &routes[i], nil, err
			}
			names[n] = name
		}
		return &routes[i], names, nil
	}
	return &route{}, nil, &problem{status: http.StatusNotFound, code: "no_route",
		detail: "there is nothing at this path; a slash within a name is %2F, and openapi.yaml lists the paths"}
}

func (r *route) match(path string) (segments []string, ok bool) {
	want, have := strings.Split(r.path, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return nil, false
	}
	for i := range want {
		if want[i] == "{}" {
			segments = append(segments, have[i])
		} else if want[i] != have[i] {
			return nil, false
		}
	}
	return segments, true
}
