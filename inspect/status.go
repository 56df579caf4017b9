package inspect

import (
	"context"
	"net/http"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// info is what the page has to know first.
func (h *handler) info(w http.ResponseWriter, r *http.Request, _ []string) error {
	if _, err := queryOf(r.URL.RawQuery); err != nil {
		return err
	}
	revision, err := h.in(r).Revision()
	if err != nil {
		return err
	}
	answer := struct {
		Writes    bool   `json:"writes"`
		Name      string `json:"name,omitempty"`
		Namespace string `json:"namespace,omitempty"`
		Revision  uint64 `json:"revision"`
		Now       string `json:"now"`
		MaxBody   int64  `json:"max_body"`
		SQLite    string `json:"sqlite"`
	}{Writes: h.writes, Name: h.name, Revision: revision, Now: timeOf(time.Now()), MaxBody: h.maxBody, SQLite: api.SQLiteVersion()}
	if h.scope != nil {
		answer.Namespace = h.scope.Namespace()
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

// statsCache keeps what counting every key has told.
type statsCache struct {
	stats api.Stats
	at    time.Time
}

// cachedStats counts at most every so often, and once for all that ask at a time.
func (h *handler) cachedStats(ctx context.Context) (api.Stats, error) {
	select {
	case h.counting <- struct{}{}:
		defer func() { <-h.counting }()
	case <-ctx.Done():
		return api.Stats{}, ctx.Err()
	}
	if !h.stats.at.IsZero() && time.Since(h.stats.at) < h.statsAge && h.whole.Health().Err == nil {
		return h.stats.stats, nil
	}
	stats, err := h.whole.WithContext(ctx).Stats()
	if err == nil {
		h.stats = statsCache{stats, time.Now()}
	}
	return stats, err
}

type healthJSON struct {
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
	Since  string `json:"since,omitempty"`
}

type statsJSON struct {
	Keys             int64       `json:"keys"`
	Groups           int64       `json:"groups"`
	Expired          *int64      `json:"expired,omitempty"`
	Revision         uint64      `json:"revision"`
	OldestRevision   *uint64     `json:"oldest_revision,omitempty"`
	LogBegins        string      `json:"log_begins,omitempty"`
	LogBytes         *int64      `json:"log_bytes,omitempty"`
	InFlight         *int        `json:"in_flight,omitempty"`
	Conflicts        *uint64     `json:"conflicts,omitempty"`
	CallbackOverflow *uint64     `json:"callback_overflow,omitempty"`
	DroppedMessages  *uint64     `json:"dropped_messages,omitempty"`
	Health           *healthJSON `json:"health,omitempty"`
}

// showStats says what the store holds, and whether it is well. Of a namespace it says
// what lives there.
func (h *handler) showStats(w http.ResponseWriter, r *http.Request, _ []string) error {
	if _, err := queryOf(r.URL.RawQuery); err != nil {
		return err
	}
	if h.whole == nil {
		scope := h.scope.WithContext(r.Context())
		usage, err := scope.Usage()
		if err != nil {
			return err
		}
		revision, err := scope.Revision()
		if err != nil {
			return err
		}
		writeJSON(w, "application/json", http.StatusOK, statsJSON{Keys: usage.Keys, Groups: usage.Groups, Revision: revision})
		return nil
	}
	stats, err := h.cachedStats(r.Context())
	if err != nil {
		return err
	}
	revision, err := h.whole.WithContext(r.Context()).Revision() // newer than what is kept
	if err != nil {
		return err
	}
	inFlight, conflicts, overflow, dropped := h.whole.InFlight(), h.whole.Conflicts(), h.whole.CallbackOverflow(), h.whole.DroppedMessages()
	lost := dropped.Unknown + dropped.Unsent + dropped.Crowded + dropped.Undelivered + dropped.Flooded + dropped.LostTimers
	answer := statsJSON{Keys: int64(stats.Keys), Groups: int64(stats.Groups), Revision: revision, OldestRevision: &stats.OldestRevision,
		InFlight: &inFlight, Conflicts: &conflicts, CallbackOverflow: &overflow, DroppedMessages: &lost}
	expired, logBytes := int64(stats.Expired), stats.LogBytes
	answer.Expired, answer.LogBytes = &expired, &logBytes
	if !stats.LogBegins.IsZero() {
		answer.LogBegins = timeOf(stats.LogBegins)
	}
	health := h.whole.Health()
	answer.Health = &healthJSON{OK: health.Err == nil}
	if health.Err != nil {
		answer.Health.Detail = health.Err.Error()
		if !health.Since.IsZero() {
			answer.Health.Since = timeOf(health.Since)
		}
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

type namespaceJSON struct {
	Namespace string `json:"namespace"`
	Keys      int64  `json:"keys"`
	Groups    int64  `json:"groups"`
	MaxKeys   int    `json:"max_keys,omitempty"`
	MaxGroups int    `json:"max_groups,omitempty"`
}

func namespaceOf(name string, usage api.Usage, quota api.QuotaConfig) namespaceJSON {
	return namespaceJSON{name, usage.Keys, usage.Groups, quota.MaxKeys, quota.MaxGroups}
}

// namespaces shows those that the store counts, and names others that it finds. It has
// none counted: that would make their writes dearer.
func (h *handler) namespaces(w http.ResponseWriter, r *http.Request, _ []string) error {
	if _, err := queryOf(r.URL.RawQuery); err != nil {
		return err
	}
	answer := struct {
		Namespaces []namespaceJSON `json:"namespaces"`
		Uncounted  []string        `json:"uncounted"`
		More       bool            `json:"more"`
	}{Namespaces: []namespaceJSON{}, Uncounted: []string{}}
	if h.whole == nil {
		usage, err := h.scope.WithContext(r.Context()).Usage()
		if err != nil {
			return err
		}
		answer.Namespaces = append(answer.Namespaces, namespaceOf(h.scope.Namespace(), usage, h.scope.Quota()))
		writeJSON(w, "application/json", http.StatusOK, answer)
		return nil
	}
	store := h.whole.WithContext(r.Context())
	counted, err := store.Namespaces()
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(counted))
	for _, n := range counted {
		known[n.Namespace] = true
		answer.Namespaces = append(answer.Namespaces, namespaceOf(n.Namespace, n.Usage, n.Quota))
	}
	began, from, going := time.Now(), "", true
	for going {
		going = false
		for group, err := range store.GroupsFrom("", from) {
			if err != nil {
				return err
			}
			if time.Since(began) > h.treeTime || len(answer.Uncounted) == maxLimit {
				answer.More = true
				break
			}
			name, _, found := strings.Cut(group, ":")
			if !found || !isNamespace(name) {
				continue
			}
			if !known[name] {
				answer.Uncounted = append(answer.Uncounted, name)
			}
			from, going = successor(name+":"), true // past all of it
			break
		}
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

func isNamespace(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

type matchJSON struct {
	Match string `json:"match"`
	nameJSON
}

func matchOf(m api.Match) matchJSON {
	switch m.Kind() {
	case api.MatchExactly:
		return matchJSON{"exactly", namedOf(m.Text())}
	case api.MatchPrefix:
		return matchJSON{"prefix", namedOf(m.Text())}
	default:
		return matchJSON{Match: "any"}
	}
}

type listenerJSON struct {
	Kind     string    `json:"kind"`
	Group    matchJSON `json:"group"`
	Key      matchJSON `json:"key"`
	Filters  int       `json:"filters"`
	Waiting  int       `json:"waiting"`
	Capacity int       `json:"capacity,omitempty"`
	Dropped  uint64    `json:"dropped"`
	Behind   bool      `json:"behind"`
}

// listeners shows the watchers, subscribers and callbacks, and how far behind each is.
func (h *handler) listeners(w http.ResponseWriter, r *http.Request, _ []string) error {
	if _, err := queryOf(r.URL.RawQuery); err != nil {
		return err
	}
	if h.whole == nil {
		return &problem{status: http.StatusForbidden, code: "namespace_only", detail: "this handler shows one namespace: who listens to the store is not told here"}
	}
	answer := struct {
		Listeners []listenerJSON `json:"listeners"`
		Callbacks int            `json:"callbacks"`
		More      bool           `json:"more"`
	}{Listeners: []listenerJSON{}, Callbacks: h.whole.Callbacks()}
	all, more, err := h.whole.Listeners(maxLimit)
	if err != nil {
		return err
	}
	answer.More = more
	for _, l := range all {
		j := listenerJSON{Kind: l.Kind.String(), Group: matchOf(api.Match{}), Key: matchOf(api.Match{}), Filters: len(l.Filters),
			Waiting: l.Waiting, Capacity: l.Capacity, Dropped: l.Dropped, Behind: l.Behind}
		if len(l.Filters) > 0 {
			j.Group, j.Key = matchOf(l.Filters[0].Group), matchOf(l.Filters[0].Key)
		}
		answer.Listeners = append(answer.Listeners, j)
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}
