package inspect

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// extent is how much a part of the tree holds, as far as it was measured.
type extent struct {
	Keys       int   `json:"keys"`
	KeysExact  bool  `json:"keys_exact"`
	Bytes      int64 `json:"bytes"`
	BytesExact bool  `json:"bytes_exact"`
}

type node struct {
	nameJSON
	Segment  string  `json:"segment"`
	Group    bool    `json:"group"`
	Children bool    `json:"children"`
	Extent   *extent `json:"extent,omitempty"`
}

// tree lists one level. What lies below a node is passed over: so a level costs what it
// shows, however many groups there are.
func (h *handler) tree(w http.ResponseWriter, r *http.Request, _ []string) error {
	p, err := queryOf(r.URL.RawQuery, "prefix*", "delimiters", "limit", "cursor")
	if err != nil {
		return err
	}
	prefix, limit, delimiters := p.text("prefix"), p.limit(), ":/"
	if p.has("delimiters") {
		delimiters = p.values.Get("delimiters")
	}
	if len(delimiters) > 8 || strings.ContainsFunc(delimiters, func(r rune) bool { return r > '~' }) {
		p.fail(badRequest("delimiters are at most 8 ASCII characters"))
	}
	if p.err != nil {
		return p.err
	}
	var at place
	if p.has("cursor") {
		if at, err = placeOf(p.values.Get("cursor"), "tree", prefix, delimiters); err != nil {
			return err
		}
	}
	answer := struct {
		Nodes  []node `json:"nodes"`
		Cursor string `json:"cursor,omitempty"`
	}{Nodes: []node{}}
	store, began := h.in(r), time.Now()
	from, more := at.group, true
	for more {
		from, more, err = level(store, prefix, from, delimiters, func(n node) bool {
			if len(answer.Nodes) == limit {
				return false
			}
			answer.Nodes = append(answer.Nodes, n)
			return true
		})
		if err != nil {
			return err
		}
		if more && (len(answer.Nodes) == limit || len(answer.Nodes) > 0 && time.Since(began) > h.treeTime) {
			answer.Cursor = cursorOf(place{group: from}, "tree", prefix, delimiters)
			break
		}
	}
	if err := h.measureAll(r.Context(), answer.Nodes); err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

// fewBelow is how many groups of a branch are walked over before the rest of them is
// passed over by a new loop, whose beginning costs as much as so many names.
const fewBelow = 256

// level adds nodes in one loop over groups, up to the first one that has many others below
// it. It returns where the next loop begins, unless there is nothing more. When add has no
// room the loop begins at that node.
func level(store api.Storer, prefix, from, delimiters string, add func(node) bool) (next string, more bool, err error) {
	branch, below := "", 0
	for group, err := range store.GroupsFrom(prefix, from) {
		if err != nil {
			return "", false, err
		}
		if branch != "" && strings.HasPrefix(group, branch) {
			if below++; below == fewBelow {
				return successor(branch), true, nil // a delimiter is ASCII: there is one
			}
			continue
		}
		branch, below = "", 0
		n := node{nameJSON: namedOf(group), Segment: groupSegmentOf(group), Group: true}
		if end := strings.IndexAny(group[len(prefix):], delimiters); end >= 0 {
			branch = group[:len(prefix)+end+1]
			n = node{nameJSON: namedOf(branch), Segment: groupSegmentOf(branch), Children: true}
		}
		if !add(n) {
			return group, true, nil
		}
	}
	return "", false, nil
}

// What is looked at of one node while a level is shown, and of all together.
const (
	nodeKeys  = 2000
	nodeBytes = 1 << 20
	levelKeys = 50_000
)

// measureAll measures nodes, the first ones first, until the time or the keys that a
// level may cost are used up. Those that follow have no extent: /ui/count tells it.
func (h *handler) measureAll(ctx context.Context, nodes []node) error {
	ctx, cancel := context.WithTimeout(ctx, h.treeTime)
	defer cancel()
	keys := levelKeys
	for i := range nodes {
		name := ""
		if nodes[i].Name != nil {
			name = *nodes[i].Name
		} else {
			name = string(nodes[i].NameBase64)
		}
		match := api.Exactly(name)
		if nodes[i].Children {
			match = api.Prefix(name)
		}
		e, looked, err := measure(api.InContext(ctx, h.store), match)
		if errors.Is(err, context.DeadlineExceeded) || err == nil && keys < looked {
			return nil
		}
		if err != nil {
			return err
		}
		nodes[i].Extent = &e
		keys -= looked
	}
	return nil
}

// measure counts the keys of some groups, and estimates their bytes by the first ones: of
// each group where there are few, since one group's values may be much larger than those of
// the next, and a branch would be shown smaller than what is in it. If the context ends
// while the keys are counted there are at least those that were seen.
func measure(store api.Storer, groups api.Match) (e extent, looked int, err error) {
	e, err = sample(store, groups, nodeKeys, nodeBytes)
	looked = e.Keys
	if err != nil || e.BytesExact {
		return e, looked, err
	}
	parts, err := partsOf(store, groups)
	whole := extent{KeysExact: true}
	for _, part := range parts {
		first := e // of a single part, the sample that was taken already
		if len(parts) > 1 && err == nil {
			first, err = sample(store, part, nodeKeys/len(parts), nodeBytes/int64(len(parts)))
			looked += first.Keys
		}
		if err == nil && !first.BytesExact {
			first, err = extrapolate(store, part, first)
		}
		if err != nil {
			break
		}
		whole.Keys += first.Keys
		whole.Bytes += first.Bytes
	}
	if errors.Is(err, context.DeadlineExceeded) {
		e.KeysExact = false
		return e, looked, nil
	}
	return whole, looked, err
}

// sample is the extent of the first so many keys and bytes of groups, which may be all.
func sample(store api.Storer, groups api.Match, keys int, bytes int64) (extent, error) {
	e := extent{KeysExact: true, BytesExact: true}
	for entry, err := range store.Scan(api.ScanOptions{Groups: groups, Limit: keys + 1}) {
		if err != nil {
			return e, err
		}
		if e.Keys == keys || e.Bytes > bytes {
			e.BytesExact = false
			break
		}
		e.Keys++
		e.Bytes += int64(len(entry.Key) + len(entry.Value))
	}
	return e, nil
}

// fewGroups are measured each by itself.
const fewGroups = 32

// partsOf divides groups into what is measured by itself: each group, or all together.
func partsOf(store api.Storer, groups api.Match) ([]api.Match, error) {
	if groups.Kind() == api.MatchExactly {
		return []api.Match{groups}, nil
	}
	var parts []api.Match
	for group, err := range store.GroupsFrom(groups.Text(), groups.Text()) {
		if err != nil {
			return nil, err
		}
		if len(parts) == fewGroups {
			return []api.Match{groups}, nil
		}
		parts = append(parts, api.Exactly(group))
	}
	return parts, nil
}

// extrapolate counts the keys of groups, of which the first ones are known.
func extrapolate(store api.Storer, groups api.Match, first extent) (extent, error) {
	count := store.CountAll
	if groups.Kind() == api.MatchExactly {
		count = store.Count
	}
	n, err := count(groups.Text())
	first.Bytes = int64(float64(first.Bytes) / float64(max(first.Keys, 1)) * float64(n))
	first.Keys = n
	return first, err
}

// count measures one part of the tree, with more time.
func (h *handler) count(w http.ResponseWriter, r *http.Request, _ []string) error {
	p, err := queryOf(r.URL.RawQuery, "group*", "prefix*")
	if err != nil {
		return err
	}
	match := api.Prefix(p.text("prefix"))
	if p.has("group") {
		match = api.Exactly(p.text("group"))
	}
	if p.err == nil && p.has("group") == p.has("prefix") {
		return badRequest("give group or prefix: one of them")
	}
	if p.err != nil {
		return p.err
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.countTime)
	defer cancel()
	began := time.Now()
	e, _, err := measure(api.InContext(ctx, h.store), match)
	if err != nil && time.Since(began) < h.countTime {
		return err
	}
	if err != nil {
		e.KeysExact, e.BytesExact = false, false
	}
	writeJSON(w, "application/json", http.StatusOK, e)
	return nil
}
