package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/stretchr/testify/require"
)

// An interrupt of a connection that is closed writes into memory that SQLite has given
// back. The library's SetInterrupt, called while a connection is opened, is safe: Close
// ends its goroutine before it closes. So that is the only place where anything of the
// kind is called, and no code calls SQLite's own function.
func TestConnectionsAreInterruptedInOnePlaceOnly(t *testing.T) {
	root := testkit.Root(t)
	var calls []string
	require.NoError(t, filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skip(root, name, entry.Name())
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(function, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && (s.Sel.Name == "SetInterrupt" || strings.Contains(s.Sel.Name, "sqlite3_interrupt")) {
					relative, err := filepath.Rel(root, name)
					require.NoError(t, err)
					calls = append(calls, filepath.ToSlash(relative)+" "+function.Name.Name)
				}
				return true
			})
		}
		return nil
	}))
	require.Equal(t, []string{"internal/storage/sqlite/pragma.go openConnection"}, calls)
}
