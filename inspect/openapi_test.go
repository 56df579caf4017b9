package inspect_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert/yaml"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/inspect"
)

type object = map[string]any

// document is openapi.yaml.
func document() (d object, err error) {
	text, err := os.ReadFile("openapi.yaml")
	if err == nil {
		err = yaml.Unmarshal(text, &d)
	}
	return d, err
}

var parameter = regexp.MustCompile(`\{[a-z]+\}`)

// operations calls visit for each method of each path of openapi.yaml, with the path as
// routes has it.
func operations(visit func(method, path string, of, all object)) {
	d, err := document()
	if err != nil {
		panic(err)
	}
	for path, item := range d["paths"].(object) {
		for method, operation := range item.(object) {
			if method != "parameters" {
				name := strings.TrimPrefix(parameter.ReplaceAllString(path, "{}"), "/")
				visit(strings.ToUpper(method), name, operation.(object), item.(object))
			}
		}
	}
}

// promises are the statuses that openapi.yaml has, as answered has them.
func promises() (all []string) {
	operations(func(method, path string, of, _ object) {
		for status := range of["responses"].(object) {
			seen := method
			if status == "405" {
				seen = "POST" // which no path has
			}
			all = append(all, fmt.Sprintf("%s %s %s", seen, path, status))
		}
	})
	return all
}

// TestTheRoutesAreThoseOfTheDocument, both ways.
func TestTheRoutesAreThoseOfTheDocument(t *testing.T) {
	documented := map[string][]string{}
	operations(func(method, path string, _, _ object) { documented[path] = append(documented[path], method) })
	require.Equal(t, []string{"GET"}, documented[""], "the page")
	delete(documented, "")
	routes := inspect.Routes()
	delete(routes, "v1") // another spelling of v1/
	for path := range routes {
		slices.Sort(routes[path])
		slices.Sort(documented[path])
	}
	require.Equal(t, documented, routes)
}

// TestTheParametersAreThoseOfTheDocument: each route names those that it knows when it is
// given another one.
func TestTheParametersAreThoseOfTheDocument(t *testing.T) {
	s := serve(t, open(t), inspect.WithWrites())
	d, err := document()
	require.NoError(t, err)
	shared := d["components"].(object)["parameters"].(object)
	operations(func(method, path string, of, item object) {
		if path == "" || path == "openapi.yaml" {
			return
		}
		var want []string
		for _, list := range []any{of["parameters"], item["parameters"]} {
			if list == nil {
				continue
			}
			for _, p := range list.([]any) {
				p := p.(object)
				if reference, ok := p["$ref"].(string); ok {
					p = shared[strings.TrimPrefix(reference, "#/components/parameters/")].(object)
				}
				if p["in"] == "query" {
					want = append(want, p["name"].(string))
				}
			}
		}
		a := s.do(method, strings.ReplaceAll(path, "{}", "name")+"?nobody=1", "")
		s.problem(http.StatusBadRequest, "bad_request", a)
		var problem struct{ Detail string }
		require.NoError(t, json.Unmarshal([]byte(a.body), &problem))
		_, list, _ := strings.Cut(problem.Detail, "there are: ")
		var have []string
		for name := range strings.SplitSeq(list, ", ") {
			if name != "" {
				have = append(have, name)
			}
		}
		require.ElementsMatch(t, want, have, "%s %s", method, path)
	})
}

// TestTheDocumentIsWhole: every reference leads somewhere, and every operation has a name
// of its own, a summary, and its statuses said.
func TestTheDocumentIsWhole(t *testing.T) {
	d, err := document()
	require.NoError(t, err)
	require.Equal(t, "3.1.0", d["openapi"])
	text, err := os.ReadFile("openapi.yaml")
	require.NoError(t, err)
	for _, match := range regexp.MustCompile(`\$ref: "#/([^"]+)"`).FindAllStringSubmatch(string(text), -1) {
		at := any(d)
		for part := range strings.SplitSeq(match[1], "/") {
			at = at.(object)[part]
			require.NotNil(t, at, match[1])
		}
	}
	names := map[string]bool{}
	operations(func(method, path string, of, _ object) {
		name, _ := of["operationId"].(string)
		require.False(t, names[name] || name == "", "%s %s", method, path)
		names[name] = true
		require.NotEmpty(t, of["summary"], name)
		require.NotEmpty(t, of["responses"], name)
	})
	s := serve(t, open(t))
	a := s.want(http.StatusOK, s.get("openapi.yaml"))
	require.Equal(t, string(text), a.body)
	require.Equal(t, "application/yaml", a.header.Get("Content-Type"))
}

// TestWhatEveryRouteAnswers: what can happen to all of them is documented of all of them,
// and so is what every test has seen; TestMain looks at the other direction.
func TestWhatEveryRouteAnswers(t *testing.T) {
	closed := open(t)
	require.NoError(t, closed.Close())
	store := open(t)
	broken := serve(t, store, inspect.WithToken(""))
	gone := serve(t, closed, inspect.WithWrites())
	guarded := serve(t, store, inspect.WithToken("secret"), inspect.WithWrites())
	plain := serve(t, store)
	operations(func(method, path string, of, _ object) {
		path = strings.ReplaceAll(path, "{}", "name")
		if path == "ui/count" {
			path += "?group=g"
		}
		data := path != "" && path != "openapi.yaml"
		query := path
		if method == http.MethodPatch {
			query += "?ttl=9"
		}
		broken.problem(http.StatusInternalServerError, "misconfigured", broken.do(method, path, ""))
		plain.problem(http.StatusMisdirectedRequest, "foreign_host", plain.do(method, path, "", "Host", "evil.example"))
		plain.problem(http.StatusForbidden, "remote", plain.do(method, path, "", "X-Forwarded-For", "192.0.2.1"))
		if method == http.MethodGet {
			plain.problem(http.StatusMethodNotAllowed, "method_not_allowed", plain.do(http.MethodPost, path, ""))
		} else {
			plain.problem(http.StatusForbidden, "read_only", plain.do(method, path, ""))
		}
		if data {
			guarded.problem(http.StatusUnauthorized, "unauthorized", guarded.do(method, path, ""))
			gone.problem(http.StatusServiceUnavailable, "closed", gone.do(method, query, ""))
		}
	})
	all := promises()
	answered.Lock()
	defer answered.Unlock()
	var undocumented []string
	for _, seen := range slices.Sorted(maps.Keys(answered.seen)) {
		if strings.HasPrefix(seen, "HEAD ") || strings.Contains(seen, " v1 ") || strings.Contains(seen, " none ") {
			continue // as GET; as v1/; no path of the document
		}
		if method, rest, _ := strings.Cut(seen, " "); strings.HasSuffix(rest, " 405") && method != "" {
			seen = "POST " + rest // whatever the method
		}
		if !slices.Contains(all, seen) {
			undocumented = append(undocumented, seen)
		}
	}
	require.Empty(t, undocumented)
}
