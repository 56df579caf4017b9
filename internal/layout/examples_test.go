package layout

import (
	"go/ast"
	"go/doc"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/stretchr/testify/require"
)

// subject is a package whose names are a promise, and those of its types that are worked
// with: their methods have an Example of their own.
type subject struct {
	folder string
	worked []string
}

// public are those of this module. (What kv promises programs find in api.)
var public = []subject{
	{"api", []string{"Store", "Typed"}},
	{"inspect", nil},
	{"outbox", []string{"Outbox"}},
	{"persistence", []string{"Provider"}},
	{"persistence/conformance", nil},
	{"protocol", nil},
	{"storetest", []string{"Store"}},
}

// unseen are methods that are called by an interface, by others or whatever the message is:
// no program names those of each type.
var unseen = []string{"Error", "Unwrap", "String", "IgnoreDeadLetterLogging", "RequestID", "Failure"}

// compiled are Examples that are not run: they need a *testing.T, which only tests have.
var compiled = []string{"storetest.Run", "storetest.EachCrash", "storetest.World", "persistence/conformance.Run"}

// TestEveryPublicNameHasItsExample: each exported function, type, method, constant and
// variable is used in an Example of its package, and each function and each method of the
// types that are worked with has one that is named after it. What an Example shows is
// compared with its output. The modules in contrib are held to the same: all of their types
// are worked with.
func TestEveryPublicNameHasItsExample(t *testing.T) {
	subjects := append(slices.Clone(public), adapters(t)...)
	exports := exports(t, subjects)
	for _, of := range subjects {
		t.Run(of.folder, func(t *testing.T) {
			shown := examples(t, of.folder, exports)
			scope := shown.exported.Scope()
			var missing []string
			see := func(seen bool, name string) {
				if !seen {
					missing = append(missing, name)
				}
			}
			for _, name := range scope.Names() {
				object := scope.Lookup(name)
				if !object.Exported() {
					continue
				}
				see(shown.used[name] || shown.named["Example"+name], name)
				if _, function := object.(*types.Func); function {
					see(shown.named["Example"+name], name+": Example"+name)
				}
				if object, ok := object.(*types.TypeName); ok && !object.IsAlias() {
					for _, method := range methods(object) {
						see(shown.used[name+"."+method], name+"."+method)
						if slices.Contains(of.worked, name) || isAdapter(of.folder) {
							see(shown.named["Example"+name+"_"+method], name+"."+method+": Example"+name+"_"+method)
						}
					}
				}
			}
			require.Empty(t, missing, "used in no Example of %s, or there is none of the name:\n%s", of.folder, strings.Join(missing, "\n"))
		})
	}
}

// adapters are the modules in contrib, with the packages below them: a new one is asked for its
// Examples by being there.
func adapters(t *testing.T) (subjects []subject) {
	t.Helper()
	root := testkit.Root(t)
	require.NoError(t, filepath.WalkDir(filepath.Join(root, "contrib"), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(name))
		require.NoError(t, err)
		if folder := filepath.ToSlash(folder); !slices.ContainsFunc(subjects, func(s subject) bool { return s.folder == folder }) {
			subjects = append(subjects, subject{folder: folder})
		}
		return nil
	}))
	require.NotEmpty(t, subjects)
	return subjects
}

func isAdapter(folder string) bool { return strings.HasPrefix(folder, "contrib/") }

// methods are the exported ones of a type, or of a pointer to it, but for the unseen. An
// interface's are those of the types that have it.
func methods(object *types.TypeName) (names []string) {
	if types.IsInterface(object.Type()) {
		return nil
	}
	set := types.NewMethodSet(types.NewPointer(object.Type()))
	for i := range set.Len() {
		// Those of what another package's type brings are that one's.
		if method := set.At(i).Obj(); method.Exported() && method.Pkg() == object.Pkg() && !slices.Contains(unseen, method.Name()) {
			names = append(names, method.Name())
		}
	}
	return names
}

// shown is what the Examples of a package show.
type shown struct {
	exported *types.Package
	named    map[string]bool // by its function's name, without what follows a lower-case suffix
	used     map[string]bool // Name, or Type.Method
}

func examples(t *testing.T, folder string, exports map[string]string) shown {
	t.Helper()
	set := token.NewFileSet()
	files := testFiles(t, set, folder)
	imports := importer.ForCompiler(set, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	var exported *types.Package
	if isAdapter(folder) {
		exported = fromSource(t, set, folder, imports)
		imports = beside{imports, exported}
	} else {
		var err error
		exported, err = imports.Import(module + "/" + folder)
		require.NoError(t, err)
	}
	found := shown{exported, map[string]bool{}, map[string]bool{}}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}, Types: map[ast.Expr]types.TypeAndValue{}, Selections: map[*ast.SelectorExpr]*types.Selection{}}
	// Errors are of what only the package's own tests see, and of the libraries of adapters.
	checked := types.Config{Importer: imports, Error: func(error) {}}
	_, _ = checked.Check(module+"/"+folder+"_test", set, files, info)
	named := namesOf(exported)
	for _, example := range doc.Examples(files...) {
		require.True(t, example.Output != "" || slices.Contains(compiled, folder+"."+example.Name), "Example%s of %s has no output to compare with", example.Name, folder)
		name := example.Name
		if i := strings.LastIndexByte(name, '_'); i >= 0 && name[i+1:] != "" && strings.ToLower(name[i+1:i+2]) == name[i+1:i+2] {
			name = name[:i]
		}
		found.named["Example"+name] = true
		ast.Inspect(example.Code, func(node ast.Node) bool { found.see(node, info, named); return true })
	}
	return found
}

// fromSource is the package of an adapter. Its libraries are other modules', which this one
// neither has nor downloads: what is made of their types has none here. The adapter's own
// names and methods are what they are.
func fromSource(t *testing.T, set *token.FileSet, folder string, imports types.Importer) *types.Package {
	t.Helper()
	checked := types.Config{Importer: imports, Error: func(error) {}}
	exported, _ := checked.Check(module+"/"+folder, set, sources(t, set, folder), nil)
	exported.MarkComplete() // or it could not be imported
	return exported
}

// beside imports one package more.
type beside struct {
	types.Importer
	exported *types.Package
}

func (b beside) Import(path string) (*types.Package, error) {
	if path == b.exported.Path() {
		return b.exported, nil
	}
	return b.Importer.Import(path)
}

// see notes what a node uses.
func (s shown) see(node ast.Node, info *types.Info, named map[types.Object][]string) {
	if expression, ok := node.(ast.Expr); ok {
		if typed, ok := info.Types[expression]; ok {
			for _, name := range named[object(typed.Type)] {
				s.used[name] = true
			}
		}
	}
	switch node := node.(type) {
	case *ast.Ident:
		used := info.Uses[node]
		if used == nil {
			used = info.Defs[node]
		}
		if used == nil {
			return
		}
		if used.Pkg() != nil && used.Pkg().Path() == s.exported.Path() && used.Parent() == used.Pkg().Scope() {
			s.used[used.Name()] = true
		}
		for _, name := range named[object(used.Type())] {
			s.used[name] = true
		}
	case *ast.SelectorExpr:
		if selection := info.Selections[node]; selection != nil {
			for _, name := range named[object(selection.Recv())] {
				s.used[name+"."+selection.Obj().Name()] = true
			}
		}
	}
}

// namesOf are the names that a package has for types, its own and those of others.
func namesOf(exported *types.Package) map[types.Object][]string {
	names := map[types.Object][]string{}
	for _, name := range exported.Scope().Names() {
		if of, ok := exported.Scope().Lookup(name).(*types.TypeName); ok {
			if of := object(of.Type()); of != nil {
				names[of] = append(names[of], name)
			}
		}
	}
	return names
}

// object is the name of a type, or of what it points to or is made of.
func object(of types.Type) types.Object {
	for of != nil {
		switch t := types.Unalias(of).(type) {
		case *types.Named:
			return t.Origin().Obj()
		case interface{ Elem() types.Type }:
			of = t.Elem()
		default:
			return nil
		}
	}
	return nil
}

// exports are the files of what the compiler exports of each package that this module has and
// that tests import, or adapters do.
func exports(t *testing.T, subjects []subject) map[string]string {
	t.Helper()
	arguments := []string{"list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}"}
	add := func(path string) {
		if !slices.Contains(arguments, path) {
			arguments = append(arguments, path)
		}
	}
	for _, of := range subjects {
		set := token.NewFileSet()
		files := testFiles(t, set, of.folder)
		if isAdapter(of.folder) {
			files = append(files, sources(t, set, of.folder)...)
		} else {
			add(module + "/" + of.folder)
		}
		for _, file := range files {
			for _, spec := range file.Imports {
				path := strings.Trim(spec.Path.Value, `"`)
				inner, ours := strings.CutPrefix(path, module+"/")
				domain, _, _ := strings.Cut(path, "/")
				if !isAdapter(of.folder) || ours && !isAdapter(inner) || !strings.Contains(domain, ".") {
					add(path)
				}
			}
		}
	}
	list := exec.Command("go", arguments...)
	list.Dir = testkit.Root(t)
	out, err := list.Output()
	require.NoError(t, err)
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		files[name] = file
	}
	return files
}

// testFiles are those of a package's tests that see it from outside, as Examples do.
func testFiles(t *testing.T, set *token.FileSet, folder string) []*ast.File {
	t.Helper()
	return parsed(t, set, folder, func(name, of string) bool {
		return strings.HasSuffix(name, "_test.go") && strings.HasSuffix(of, "_test")
	})
}

// sources are a package's files without its tests.
func sources(t *testing.T, set *token.FileSet, folder string) []*ast.File {
	t.Helper()
	return parsed(t, set, folder, func(name, _ string) bool { return !strings.HasSuffix(name, "_test.go") })
}

// parsed are the files of a folder that are wanted, by their name and their package's.
func parsed(t *testing.T, set *token.FileSet, folder string, wanted func(name, of string) bool) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(testkit.Root(t), filepath.FromSlash(folder), "*.go"))
	require.NoError(t, err)
	for _, name := range names {
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		require.NoError(t, err)
		if wanted(name, file.Name.Name) {
			files = append(files, file)
		}
	}
	return files
}
