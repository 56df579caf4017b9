package layout

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/stretchr/testify/require"
)

// TestAdapters: each module in contrib is built on api alone, as a user's program would
// be, tests excepted; names the root by its folder; and has a page, which docs/ADAPTERS.md
// leads to.
func TestAdapters(t *testing.T) {
	root := testkit.Root(t)
	modules, err := filepath.Glob(filepath.Join(root, "contrib/*/go.mod"))
	require.NoError(t, err)
	require.NotEmpty(t, modules)
	for _, name := range modules {
		folder := filepath.Dir(name)
		adapter := filepath.Base(folder)
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Contains(t, string(text), "module "+module+"/contrib/"+adapter+"\n")
		require.Contains(t, string(text), "replace "+module+" => ../..\n")
		require.FileExists(t, filepath.Join(folder, "README.md"))
		require.Contains(t, page(t, "docs/ADAPTERS.md"), "](../contrib/"+adapter+"/README.md)")
		require.NoError(t, filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			source, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
			require.NoError(t, err)
			for _, spec := range source.Imports {
				imported := strings.Trim(spec.Path.Value, "\"`")
				inner, ours := strings.CutPrefix(imported, module+"/")
				require.True(t, !ours || inner == "api" || within("contrib/"+adapter+"/...", inner), "%s imports %s", name, imported)
			}
			return nil
		}))
	}
}
