package metamorphic

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"text/template"

	"forge.lthn.ai/core/go-store/api"
)

// reader is what stores, views of namespaces, snapshots and transactions have in
// common.
type reader interface {
	Get(group, key string) (string, error)
	Entry(group, key string) (api.Entry, error)
	Exists(group, key string) (bool, error)
	GroupExists(group string) (bool, error)
	All(group string) iter.Seq2[api.KeyValue, error]
	GetAll(group string) (map[string]string, error)
	GetPage(group string, offset, limit int) ([]api.KeyValue, error)
	Count(group string) (int, error)
	CountAll(groupPrefix string) (int, error)
	Groups(groupPrefix string) ([]string, error)
}

// scanner is a reader that is no transaction.
type scanner interface {
	reader
	GetMany(group string, keys ...string) (map[string]string, error)
	GroupsSeq(groupPrefix string) iter.Seq2[string, error]
	Scan(options api.ScanOptions) iter.Seq2[api.ScanEntry, error]
}

// renderer is a store, or a view of a namespace.
type renderer interface {
	AppendValue(buffer []byte, group, key string) ([]byte, error)
	GetSplit(group, key, separator string) (iter.Seq[string], error)
	GetFields(group, key string) (iter.Seq[string], error)
	Render(templateSource, group string) (string, error)
}

var (
	_ scanner  = (*api.Store)(nil)
	_ scanner  = (*api.ScopedStore)(nil)
	_ scanner  = (*api.Snapshot)(nil)
	_ reader   = (*api.Transaction)(nil)
	_ renderer = (*api.Store)(nil)
	_ renderer = (*api.ScopedStore)(nil)
)

// view is what a reader must show: the rows that live at a moment, below a prefix.
type view struct {
	rows   []row // by group and key
	now    int64
	prefix string
}

func (m *model) view(prefix string) view { return view{rows: m.rows, now: m.now, prefix: prefix} }

// kept is a view that later writes leave alone.
func (v view) kept() view {
	v.rows = slices.Clone(v.rows)
	return v
}

func (v view) get(group, key string) (row, bool) {
	at, found := slices.BinarySearchFunc(v.rows, row{group: v.prefix + group, key: key}, compareRows)
	if !found || !v.rows[at].live(v.now) {
		return row{}, false
	}
	return v.rows[at], true
}

// all are the rows of the groups that fit, with the prefix cut off.
func (v view) all(groups api.Match) (rows []row) {
	for _, r := range v.rows {
		if inner, ours := strings.CutPrefix(r.group, v.prefix); ours && r.live(v.now) && groups.Matches(inner) {
			r.group = inner
			rows = append(rows, r)
		}
	}
	return rows
}

func (v view) groups(prefix string) []string {
	names := []string{}
	for _, r := range v.all(api.Prefix(prefix)) {
		if len(names) == 0 || names[len(names)-1] != r.group {
			names = append(names, r.group)
		}
	}
	return names
}

func pairs(rows []row) []api.KeyValue {
	all := []api.KeyValue{}
	for _, r := range rows {
		all = append(all, api.KeyValue{Key: r.key, Value: r.value})
	}
	return all
}

func values(rows []row) map[string]string {
	all := map[string]string{}
	for _, r := range rows {
		all[r.key] = r.value
	}
	return all
}

// read is one call that changes nothing.
type read struct {
	Call          string
	Group, Key    string // Group: a prefix for CountAll and Groups
	Keys          []string
	Offset, Limit int
	Separator     string
}

// readCalls are those of every reader, then those of a scanner, then a renderer's.
var (
	readCalls     = []string{"Get", "Get", "Get", "Entry", "Exists", "GroupExists", "All", "GetAll", "GetPage", "Count", "CountAll", "Groups"}
	scannerCalls  = []string{"GetMany", "GroupsSeq"}
	rendererCalls = []string{"AppendValue", "GetSplit", "GetFields", "Render"}
)

// check makes the call and compares what it answers with what the view shows.
func (r read) check(from reader, v view) error {
	entry, found := v.get(r.Group, r.Key)
	var missing error
	if !found {
		missing = api.NotFoundError
	}
	group := func() []row { return v.all(api.Exactly(r.Group)) }
	switch r.Call {
	case "Get":
		got, err := from.Get(r.Group, r.Key)
		return same(got, entry.value, err, missing)
	case "Entry":
		got, err := from.Entry(r.Group, r.Key)
		if err == nil && !got.ExpiresAt.Equal(entry.expiresAt()) {
			return fmt.Errorf("it expires %v, not %v", got.ExpiresAt, entry.expiresAt())
		}
		return same(fmt.Sprint(got.Value, got.Revision), fmt.Sprint(entry.value, entry.revision), err, missing)
	case "Exists":
		got, err := from.Exists(r.Group, r.Key)
		return same(got, found, err, nil)
	case "GroupExists":
		got, err := from.GroupExists(r.Group)
		return same(got, len(group()) > 0, err, nil)
	case "All":
		got, err := collect(from.All(r.Group))
		return sameList(got, pairs(group()), err)
	case "GetAll":
		got, err := from.GetAll(r.Group)
		return sameMap(got, values(group()), err)
	case "GetPage":
		return r.checkPage(from, group())
	case "Count":
		got, err := from.Count(r.Group)
		return same(got, len(group()), err, nil)
	case "CountAll":
		got, err := from.CountAll(r.Group)
		return same(got, len(v.all(api.Prefix(r.Group))), err, nil)
	case "Groups":
		got, err := from.Groups(r.Group)
		return sameList(got, v.groups(r.Group), err)
	}
	if scanner, can := from.(scanner); can && slices.Contains(scannerCalls, r.Call) {
		return r.checkScanner(scanner, v)
	}
	if renderer, can := from.(renderer); can {
		return r.checkRenderer(renderer, v, entry, missing)
	}
	return nil
}

func (r read) checkPage(from reader, rows []row) error {
	var want error
	if r.Offset < 0 || r.Limit < 0 {
		want = api.InvalidPageError
	}
	got, err := from.GetPage(r.Group, r.Offset, r.Limit)
	if err != nil || want != nil {
		return sameError(err, want)
	}
	rows = rows[min(r.Offset, len(rows)):]
	return sameList(got, pairs(rows[:min(r.Limit, len(rows))]), nil)
}

func (r read) checkScanner(from scanner, v view) error {
	if r.Call == "GroupsSeq" {
		got, err := collect(from.GroupsSeq(r.Group))
		return sameList(got, v.groups(r.Group), err)
	}
	want := map[string]string{}
	for _, key := range r.Keys {
		if found, ok := v.get(r.Group, key); ok {
			want[key] = found.value
		}
	}
	got, err := from.GetMany(r.Group, r.Keys...)
	return sameMap(got, want, err)
}

func (r read) checkRenderer(from renderer, v view, entry row, missing error) error {
	switch r.Call {
	case "AppendValue":
		got, err := from.AppendValue([]byte("> "), r.Group, r.Key)
		return same(string(got), "> "+entry.value, err, missing)
	case "GetSplit":
		got, err := from.GetSplit(r.Group, r.Key, r.Separator)
		if err != nil || missing != nil {
			return sameError(err, missing)
		}
		return sameList(slices.Collect(got), strings.Split(entry.value, r.Separator), nil)
	case "GetFields":
		got, err := from.GetFields(r.Group, r.Key)
		if err != nil || missing != nil {
			return sameError(err, missing)
		}
		return sameList(slices.Collect(got), strings.Fields(entry.value), nil)
	case "Render":
		const source = `{{range $key, $value := .}}{{$key}}={{$value}};{{end}}{{.k}}`
		var want strings.Builder
		parsed := template.Must(template.New("want").Parse(source))
		if err := parsed.Execute(&want, values(v.all(api.Exactly(r.Group)))); err != nil {
			return err
		}
		got, err := from.Render(source, r.Group)
		return same(got, want.String(), err, nil)
	}
	return fmt.Errorf("no such read: %s", r.Call)
}

func collect[T any](from iter.Seq2[T, error]) (all []T, err error) {
	for item, err := range from {
		if err != nil {
			return all, err
		}
		all = append(all, item)
	}
	return all, nil
}

func same[T comparable](got, want T, err, wanted error) error {
	if err != nil || wanted != nil {
		return sameError(err, wanted)
	}
	if got != want {
		return fmt.Errorf("it is %.200q, not %.200q", fmt.Sprint(got), fmt.Sprint(want))
	}
	return nil
}

func sameList[T comparable](got, want []T, err error) error {
	if err != nil {
		return sameError(err, nil)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("it is %.500q, not %.500q", fmt.Sprint(got), fmt.Sprint(want))
	}
	return nil
}

func sameMap(got, want map[string]string, err error) error {
	if err != nil {
		return sameError(err, nil)
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("it is %.500q, not %.500q", fmt.Sprint(got), fmt.Sprint(want))
	}
	return nil
}

// scan is a scan's options, but for its cursor.
type scan struct {
	Groups   string // a name or a prefix
	Exactly  bool
	From, To string
	Reverse  bool
	KeysOnly bool
	Limit    int
}

func (s scan) options(cursor string) api.ScanOptions {
	match := api.Prefix(s.Groups)
	if s.Exactly {
		match = api.Exactly(s.Groups)
	}
	return api.ScanOptions{Groups: match, From: s.From, To: s.To, Reverse: s.Reverse, KeysOnly: s.KeysOnly, Limit: s.Limit, Cursor: cursor}
}

// mark is where a scan was left.
type mark struct {
	cursor string
	group  string // in full
	key    string
}

// check makes the scan and compares it with the view. It returns where it ends.
func (s scan) check(from scanner, v view, after *mark) (end *mark, err error) {
	cursor := ""
	if after != nil {
		cursor = after.cursor
	}
	options := s.options(cursor)
	want, wanted := s.wanted(v, options, after)
	got, err := collect(from.Scan(options))
	if err != nil || wanted != nil {
		return nil, sameError(err, wanted)
	}
	if len(got) != len(want) {
		return nil, fmt.Errorf("%d entries, not %d: %.500q, not %.500q", len(got), len(want), fmt.Sprint(got), fmt.Sprint(want))
	}
	for i, g := range got {
		w := want[i]
		if s.KeysOnly {
			w.value = ""
		}
		if g.Group != w.group || g.Key != w.key || g.Value != w.value || g.Revision != w.revision || !g.ExpiresAt.Equal(w.expiresAt()) {
			return nil, fmt.Errorf("entry %d is %.300q, not %.300q", i, fmt.Sprint(g), fmt.Sprint(w))
		}
	}
	if len(got) > 0 {
		last := got[len(got)-1]
		end = &mark{cursor: last.Cursor(), group: v.prefix + last.Group, key: last.Key}
	}
	return end, nil
}

func (s scan) wanted(v view, options api.ScanOptions, after *mark) (rows []row, err error) {
	switch {
	case s.Limit < 0, s.To != "" && s.From > s.To:
		return nil, api.InvalidScanError
	case after != nil:
		inner, ours := strings.CutPrefix(after.group, v.prefix)
		if !ours || !options.Groups.Matches(inner) {
			return nil, api.InvalidCursorError
		}
	}
	for _, r := range v.all(options.Groups) {
		if r.key < s.From || s.To != "" && r.key >= s.To {
			continue
		}
		if after != nil {
			c := compareRows(row{group: v.prefix + r.group, key: r.key}, row{group: after.group, key: after.key})
			if c == 0 || (c < 0) != s.Reverse {
				continue
			}
		}
		rows = append(rows, r)
	}
	if s.Reverse {
		slices.Reverse(rows)
	}
	if s.Limit > 0 {
		rows = rows[:min(s.Limit, len(rows))]
	}
	return rows, nil
}

// errStop is what a transaction's function returns to have nothing written.
var errStop = errors.New("the function wants no commit")
