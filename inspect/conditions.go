package inspect

import (
	"net/http"
	"strconv"
	"strings"

	"forge.lthn.ai/core/go-store/api"
)

// etagOf is a revision as an entity tag.
func etagOf(revision uint64) string { return `"` + strconv.FormatUint(revision, 10) + `"` }

// tags are what an If-Match or If-None-Match holds.
type tags struct {
	given bool
	any   bool // *
	list  []tag
}

type tag struct {
	text string // with its quotes
	weak bool
}

// tagsOf reads the header, all lines of it.
func tagsOf(header http.Header, name string) (t tags, err error) {
	lines := header.Values(name)
	if len(lines) == 0 {
		return t, nil
	}
	t.given = true
	rest := strings.Trim(strings.Join(lines, ","), " \t")
	if rest == "*" {
		t.any = true
		return t, nil
	}
	for {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			break
		}
		etag := tag{}
		rest, etag.weak = strings.CutPrefix(rest, "W/")
		end := -1
		if rest != "" && rest[0] == '"' {
			end = strings.IndexByte(rest[1:], '"') + 2
		}
		if end < 2 {
			return t, badRequest("%s is * or a list of entity tags as ETag has them, such as \"12\" with its quotes", name)
		}
		etag.text, rest = rest[:end], strings.TrimLeft(rest[end:], " \t")
		if rest != "" && rest[0] != ',' {
			return t, badRequest("%s: a comma is missing between entity tags", name)
		}
		t.list = append(t.list, etag)
	}
	if len(t.list) == 0 {
		return t, badRequest("%s is empty: it is * or a list of entity tags", name)
	}
	return t, nil
}

// matches compares with the revision of a key that is there, weakly if weak tags count.
func (t tags) matches(revision uint64, weakly bool) bool {
	for _, etag := range t.list {
		if etag.text == etagOf(revision) && (weakly || !etag.weak) {
			return true
		}
	}
	return t.any
}

// revisions are those that a key may have for a strong comparison to hold. No key has
// revision 0, and none the number that stands for any.
func (t tags) revisions() (revisions []uint64) {
	for _, etag := range t.list {
		n, err := parseDecimal(strings.Trim(etag.text, `"`))
		if err == nil && !etag.weak && n != 0 && n != api.AnyRevision {
			revisions = append(revisions, n)
		}
	}
	return revisions
}

// conditions are what a write depends on.
type conditions struct {
	match  tags
	absent bool // If-None-Match: *
}

func conditionsOf(header http.Header) (c conditions, err error) {
	if c.match, err = tagsOf(header, "If-Match"); err != nil {
		return c, err
	}
	none, err := tagsOf(header, "If-None-Match")
	switch {
	case err != nil:
		return c, err
	case none.given && !none.any:
		return c, badRequest("If-None-Match is * in a write: a list of entity tags is for reads")
	case none.given && c.match.given:
		return c, badRequest("give If-Match or If-None-Match, not both")
	}
	c.absent = none.any
	return c, nil
}
