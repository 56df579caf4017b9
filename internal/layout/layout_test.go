package layout

import (
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/stretchr/testify/require"
)

const module = "forge.lthn.ai/core/go-store"

// layers says for each package of ours, by its folder, which others of ours it
// may import. A pattern ending in "/..." stands for a folder and all below it.
// The first line that fits counts; a package that fits none is a violation, so
// that a new one has to be given its place here.
var layers = []struct {
	folder string
	may    []string
}{
	{"kv", nil},
	{"protocol", []string{"kv"}},
	// The floors of storage: what holds nothing, what holds rows, what opens files.
	{"internal/storage", []string{"kv"}},
	{"internal/storage/sequence", nil},
	{"internal/storage/memory", []string{"kv", "internal/storage", "internal/storage/sequence"}},
	{"internal/storage/overlay", []string{"kv", "internal/planted"}},
	{"internal/storage/pages", nil},
	{"internal/storage/btree", []string{"internal/storage/pages"}},
	{"internal/storage/bulk", []string{"internal/storage/disk", "internal/storage/pages"}},
	{"internal/storage/cabi", nil},
	{"internal/storage/disk", nil},
	{"internal/storage/mapped", []string{"internal/storage/disk"}},
	{"internal/storage/frames", nil},
	{"internal/storage/ownership", []string{"kv", "internal/storage", "internal/storage/disk", "internal/storage/mapped", "internal/storage/pages"}},
	{"internal/storage/moment", []string{"internal/planted", "internal/storage/disk", "internal/storage/frames", "internal/storage/mapped", "internal/storage/pages"}},
	{"internal/storage/gather", []string{"internal/storage/cabi"}},
	{"internal/storage/faultfs", []string{"internal/planted", "internal/storage/cabi", "internal/storage/disk"}},
	{"internal/storage/sqlite", []string{"kv", "internal/failpoint", "internal/metrics", "internal/planted", "internal/storage/..."}},
	{"internal/admission", []string{"kv"}},
	{"internal/actorsystem", nil},
	{"internal/courier", []string{"internal/actorsystem"}},
	{"internal/clock", nil},
	{"internal/failpoint", nil},
	{"internal/fakeclock", nil},
	{"internal/health", nil},
	{"internal/metrics", []string{"kv"}},
	{"internal/seldom", nil},
	{"internal/layout", nil},
	{"internal/testkit", []string{"kv", "internal/fakeclock", "internal/testkit/report"}},
	{"internal/testkit/report", nil},
	{"internal/planted/...", nil},
	{"internal/cache", []string{"kv", "internal/failpoint", "internal/planted", "internal/storage"}},
	{"internal/...", []string{"kv", "internal/clock", "internal/failpoint", "internal/planted"}},
	{"actors/writer", []string{"kv", "internal/actorsystem", "internal/admission", "internal/clock", "internal/commitlog", "internal/failpoint", "internal/health", "internal/metrics", "internal/planted", "internal/seldom", "internal/storage"}},
	{"actors/notifier", []string{"kv", "internal/actorsystem", "internal/admission", "internal/courier", "internal/failpoint", "internal/planted", "internal/seldom"}},
	{"actors/gateway", []string{"kv", "protocol", "internal/actorsystem", "internal/admission", "internal/courier", "internal/failpoint", "internal/planted"}},
	{"actors/reaper", []string{"kv", "internal/actorsystem", "internal/clock", "internal/failpoint", "internal/planted"}},
	{"actors/quota", []string{"kv", "internal/actorsystem", "internal/clock", "internal/failpoint", "internal/planted"}},
	{"engine", []string{"kv", "protocol", "actors/...", "internal/..."}},
	{"api", []string{"kv", "engine"}},
	// What is built on the store has nothing but what its users have too.
	{"persistence/conformance", nil}, // the suite knows no provider
	{"persistence", []string{"api"}},
	{"outbox/...", []string{"api", "protocol", "internal/courier", "outbox/..."}}, // its receivers may block it
	{"inspect", []string{"api"}},
	{"inspect/browsertest/...", []string{"api", "inspect"}},
	{"storetest", []string{"api", "engine", "internal/actorsystem", "internal/fakeclock", "internal/storage/faultfs"}},
	{"examples/...", []string{"api", "protocol", "persistence", "outbox", "inspect", "examples/..."}},
	{"cmd/...", []string{"api", "inspect", "bench/...", "cmd/..."}},
	{"bench", nil}, // the harness knows no store
	{"bench/floor", []string{"bench"}},
	{"bench/report", []string{"bench"}},
	{"bench/command", []string{"bench", "bench/report"}},
	{"bench/soak", []string{"api", "bench", "bench/report"}},
	{"bench/store", []string{"api", "protocol", "persistence", "outbox", "bench"}}, // all that a program has
	{"bench/...", []string{"api", "bench/..."}},
}

// libraries says which packages may import what is not ours. What is not named here
// any package above kv may import.
var libraries = []struct {
	path    string
	folders []string
}{
	{"github.com/asynkron/protoactor-go/...", []string{"protocol", "engine", "actors/...", "internal/actorsystem", "internal/courier",
		"persistence/...", "outbox/...", "storetest/...", "examples/...", "bench/store"}},
	{"zombiezen.com/go/sqlite/...", []string{"internal/storage/sqlite"}},
	{"modernc.org/...", []string{"internal/storage/sqlite", "internal/storage/gather", "internal/storage/faultfs"}}, // SQLite in C, translated
	{"database/sql/...", nil},
	{"github.com/spf13/cobra/...", []string{"cmd/..."}},
	{"github.com/HdrHistogram/hdrhistogram-go/...", []string{"bench/..."}},
	{"gonum.org/v1/plot/...", nil}, // ADR 0068: fonts, LaTeX and PDF for an SVG
	{"github.com/jedib0t/go-pretty/...", []string{"bench/report"}},
}

// plain import the standard library, beside what layers lets them.
var plain = []string{"kv", "inspect"}

// testOnly may be imported by tests, and by nothing else of ours.
var testOnly = []string{"internal/fakeclock", "internal/testkit", "internal/testkit/report", "internal/layout", "internal/storage/faultfs", "storetest"}

// kits are what tests alone import, those of users too.
var kits = []string{"internal/testkit", "internal/testkit/report", "storetest"}

// violation says why folder may not import imported, or nothing.
func violation(folder, imported string) string {
	inner, ours := strings.CutPrefix(imported, module+"/")
	if !ours {
		return libraryViolation(folder, imported)
	}
	if slices.Contains(testOnly, inner) && !slices.Contains(kits, folder) {
		return "only tests may import " + inner
	}
	for _, layer := range layers {
		if within(layer.folder, folder) {
			if slices.ContainsFunc(layer.may, func(pattern string) bool { return within(pattern, inner) }) {
				return ""
			}
			return "it may import of ours: " + strings.Join(layer.may, ", ")
		}
	}
	return "the package has no place in layers"
}

func libraryViolation(folder, imported string) string {
	if first, _, _ := strings.Cut(imported, "/"); slices.Contains(plain, folder) && strings.Contains(first, ".") {
		return folder + " may import, of what is not ours, only the standard library"
	}
	for _, library := range libraries {
		if within(library.path, imported) &&
			!slices.ContainsFunc(library.folders, func(pattern string) bool { return within(pattern, folder) }) {
			return "only these may import it: " + strings.Join(library.folders, ", ")
		}
	}
	return ""
}

func within(pattern, name string) bool {
	folder, deep := strings.CutSuffix(pattern, "/...")
	return name == folder || deep && strings.HasPrefix(name, folder+"/")
}

// TestImportDirections reads every file of the module, whatever system it is
// for, tests excepted: those may compare with anything.
func TestImportDirections(t *testing.T) {
	root, files := testkit.Root(t), 0
	seen := make(map[string]bool)
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skip(root, name, entry.Name())
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		files++
		relative, err := filepath.Rel(root, name)
		require.NoError(t, err)
		folder := path.Dir(filepath.ToSlash(relative))
		seen[folder] = true
		source, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
		require.NoError(t, err)
		for _, group := range source.Comments {
			for _, comment := range group.List {
				if constraint.IsGoBuild(comment.Text) && strings.Contains(comment.Text, "ignore") {
					return nil // no part of any build
				}
			}
		}
		for _, spec := range source.Imports {
			imported := strings.Trim(spec.Path.Value, "\"`")
			if why := violation(folder, imported); why != "" {
				t.Errorf("%s imports %s: %s", relative, imported, why)
			}
		}
		return nil
	})
	require.NoError(t, err)
	for _, folder := range []string{"kv", "engine", "api", "internal/storage", "internal/storage/memory", "internal/storage/sqlite", "cmd/gostore",
		"actors/writer", "actors/notifier", "actors/reaper", "actors/quota", "actors/gateway", "protocol"} {
		require.True(t, seen[folder], "%s was not read: the walk misses packages", folder)
	}
	require.Greater(t, files, 50)
}

func skip(root, name, base string) error {
	if name == root {
		return nil
	}
	if base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return filepath.SkipDir // another module, with rules of its own
	}
	return nil
}

// TestRuleFails shows that each direction can be violated: a rule that accepts
// everything would pass the test above too.
func TestRuleFails(t *testing.T) {
	const actor, sqlite = "github.com/asynkron/protoactor-go/actor", "zombiezen.com/go/sqlite"
	for _, bad := range []struct{ folder, imported string }{
		{"kv", "github.com/google/uuid"},
		{"kv", module + "/internal/clock"},
		{"protocol", module + "/api"},
		{"protocol", module + "/internal/actorsystem"},
		{"kv", module + "/protocol"},
		{"actors/gateway", module + "/engine"},
		{"actors/gateway", module + "/internal/storage"},
		{"actors/gateway", module + "/actors/notifier"},
		{"actors/writer", module + "/actors/gateway"},
		{"api", module + "/actors/gateway"},
		{"persistence", module + "/engine"},
		{"outbox", module + "/engine"},
		{"outbox", module + "/kv"},
		{"examples/sessions", module + "/engine"},
		{"internal/clock", module + "/protocol"},
		{"internal/storage", module + "/engine"},
		{"internal/storage", module + "/internal/clock"},
		{"internal/storage", actor},
		{"internal/admission", module + "/internal/storage"},
		{"internal/brandnew", module + "/internal/storage"},
		{"internal/brandnew", sqlite + "/sqlitex"},
		{"actors/writer", module + "/actors/notifier"},
		{"actors/notifier", module + "/actors/writer"},
		{"actors/reaper", module + "/actors/quota"},
		{"actors/quota", module + "/actors/reaper"},
		{"actors/notifier", module + "/internal/storage"},
		{"actors/reaper", module + "/internal/storage"},
		{"actors/quota", module + "/internal/storage"},
		{"actors/writer", sqlite},
		{"actors/writer", "modernc.org/sqlite"},
		{"actors/writer", module + "/engine"},
		{"engine", module + "/api"},
		{"engine", "database/sql"},
		{"engine", module + "/internal/testkit"},
		{"internal/storage/sqlite", module + "/internal/storage/faultfs"},
		{"internal/storage", module + "/internal/storage/sqlite"},
		{"internal/storage", sqlite},
		{"internal/storage/memory", sqlite},
		{"internal/storage/memory", module + "/internal/storage/sqlite"},
		{"internal/storage/sequence", module + "/internal/storage"},
		{"internal/storage/pages", module + "/internal/storage/btree"},
		{"internal/storage/btree", module + "/internal/storage"},
		{"internal/storage/btree", sqlite},
		{"internal/storage/overlay", sqlite},
		{"internal/storage/mapped", sqlite},
		{"internal/storage/frames", module + "/internal/storage/mapped"},
		{"internal/storage/ownership", sqlite},
		{"internal/storage/ownership", module + "/internal/storage/sqlite"},
		{"internal/storage/moment", sqlite},
		{"internal/storage/moment", module + "/internal/storage/ownership"},
		{"internal/storage/ownership", module + "/internal/storage/moment"},
		{"internal/storage/newcomer", module + "/internal/storage"},
		{"internal/storage/sqlite", module + "/internal/clock"},
		{"internal/storage/sqlite", "database/sql"},
		{"internal/cache", module + "/internal/storage/sqlite"},
		{"actors/writer", module + "/internal/storage/sqlite"},
		{"actors/writer", module + "/internal/storage/memory"},
		{"engine", module + "/internal/storage/faultfs"},
		{"api", module + "/actors/writer"},
		{"api", module + "/internal/storage"},
		{"api", module + "/internal/clock"},
		{"api", actor},
		{"api", module + "/cmd/gostore"},
		{"cmd/gostore", module + "/engine"},
		{"cmd/gostore", module + "/kv"},
		{"cmd/gostore/internal/services", module + "/actors/reaper"},
		{"cmd/gostore", actor},
		{"cmd/gostore", sqlite},
		{"bench", module + "/engine"},
		{"bench", module + "/api"},
		{"bench/store", module + "/engine"},
		{"bench/report", module + "/bench/store"},
		{"bench/report", module + "/bench/soak"},
		{"bench/soak", module + "/engine"},
		{"bench/soak", module + "/bench/stress"},
		{"bench/report", "gonum.org/v1/plot"},
		{"api", module + "/bench"},
		{"persistence", module + "/engine"},
		{"persistence", module + "/kv"},
		{"persistence", module + "/persistence/conformance"},
		{"persistence", sqlite},
		{"persistence/conformance", module + "/persistence"},
		{"persistence/conformance", module + "/api"},
		{"api", module + "/persistence"},
		{"newcomer", module + "/kv"},
		{"api", module + "/storetest"},
		{"examples/bank", module + "/storetest"},
		{"examples/bank", module + "/engine"},
		{"storetest", module + "/internal/testkit"},
		{"storetest", module + "/internal/storage"},
		{"internal/testkit", module + "/internal/storage/faultfs"},
	} {
		require.NotEmpty(t, violation(bad.folder, bad.imported), "%s may import %s", bad.folder, bad.imported)
	}
	for _, good := range []struct{ folder, imported string }{
		{"kv", "strings"},
		{"protocol", module + "/kv"},
		{"protocol", actor},
		{"actors/gateway", module + "/protocol"},
		{"engine", module + "/protocol"},
		{"persistence", module + "/api"},
		{"persistence", actor},
		{"examples/sessions", module + "/protocol"},
		{"internal/storage", module + "/kv"},
		{"internal/storage/sqlite", sqlite + "/sqlitex"},
		{"internal/storage/sqlite", module + "/internal/storage/memory"},
		{"internal/storage/memory", module + "/internal/storage"},
		{"engine", module + "/internal/storage/sqlite"},
		{"internal/cache", module + "/internal/storage"},
		{"internal/actorsystem", actor},
		{"actors/writer", module + "/internal/storage"},
		{"actors/quota", actor},
		{"engine", module + "/actors/quota"},
		{"engine", module + "/internal/storage"},
		{"engine", actor},
		{"api", module + "/engine"},
		{"api", module + "/kv"},
		{"cmd/gostore", module + "/api"},
		{"cmd/gostore", module + "/cmd/gostore/internal/progress"},
		{"cmd/gostore", "github.com/spf13/cobra"},
		{"cmd/gostore", module + "/bench/command"},
		{"persistence", module + "/api"},
		{"persistence", actor},
		{"persistence/conformance", actor},
		{"bench/store", module + "/api"},
		{"bench/soak", module + "/api"},
		{"bench/soak", module + "/bench/report"},
		{"storetest", module + "/internal/storage/faultfs"},
		{"storetest", module + "/api"},
		{"examples/bank", module + "/api"},
		{"examples/bank", actor},
	} {
		require.Empty(t, violation(good.folder, good.imported), "%s may not import %s", good.folder, good.imported)
	}
}
