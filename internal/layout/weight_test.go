package layout

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/stretchr/testify/require"
)

// What the store weighs, for linux/amd64 and without cgo, so that it is the same on every
// machine. These figures may only fall: a change that has to raise one says in an ADR what
// the weight is for (docs/adr/0068-charts-without-a-library.md).
const (
	apiPackages     = 123        // of others, that api brings into a program
	actorPackages   = 110        // those of them that Proto.Actor brings
	commandPackages = 138        // of others, that cmd/gostore brings
	commandBytes    = 25_000_000 // of gostore as it is released: -trimpath -ldflags="-s -w"
)

// released is how gostore is built by `make gostore` and by the README's line.
var released = []string{"-trimpath", "-ldflags=-s -w"}

// TestWeight_Packages: as many packages of others as the budget says, and no fewer, or the
// budget is to be lowered. The README says the same figures.
func TestWeight_Packages(t *testing.T) {
	readme := page(t, "README.md")
	for _, of := range []struct {
		folder string
		budget int
	}{{module + "/api", apiPackages}, {"github.com/asynkron/protoactor-go/actor", actorPackages}, {module + "/cmd/gostore", commandPackages}} {
		found := foreign(t, of.folder)
		require.LessOrEqual(t, len(found), of.budget, "%s brings more than its budget:\n%s", of.folder, strings.Join(found, "\n"))
		require.Equal(t, of.budget, len(found), "%s has become lighter: lower its budget, so that it stays so", of.folder)
		require.True(t, strings.Contains(readme, strconv.Itoa(of.budget)+" foreign packages"), "README.md has no figure of %s, or another", of.folder)
	}
}

// foreign are the packages that a package needs, itself included, and that are neither the
// standard library's nor ours.
func foreign(t *testing.T, folder string) (found []string) {
	t.Helper()
	for _, name := range strings.Fields(command(t, "list", "-deps", folder)) {
		first, _, _ := strings.Cut(name, "/")
		if strings.Contains(first, ".") && name != module && !strings.HasPrefix(name, module+"/") {
			found = append(found, name)
		}
	}
	return found
}

// TestWeight_Command: gostore as it is released is at most as large as its budget, and not
// much smaller, or the budget is to be lowered.
func TestWeight_Command(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "gostore")
	command(t, slices.Concat([]string{"build"}, released, []string{"-o", binary, module + "/cmd/gostore"})...)
	info, err := os.Stat(binary)
	require.NoError(t, err)
	require.True(t, strings.Contains(page(t, "README.md"), "at most "+strconv.Itoa(commandBytes/1_000_000)+" MB"), "README.md has another budget")
	t.Logf("gostore has %.1f MB, of at most %.1f", float64(info.Size())/1e6, commandBytes/1e6)
	require.LessOrEqual(t, info.Size(), int64(commandBytes), "gostore is larger than its budget")
	for name, build := range map[string]string{"README.md": "go install " + strings.Join(released, " "), "Makefile": "RELEASE := " + strings.Join(released, " ")} {
		text := strings.NewReplacer(`"`, "", "'", "").Replace(page(t, name))
		require.Contains(t, text, build, "%s builds another gostore than the one that is weighed", name)
	}
	require.Greater(t, info.Size(), int64(commandBytes*9/10), "gostore has become lighter: lower its budget, so that it stays so")
}

func command(t *testing.T, arguments ...string) string {
	t.Helper()
	run := exec.Command("go", arguments...)
	run.Dir = testkit.Root(t)
	run.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOWORK=off")
	out, err := run.Output()
	require.NoError(t, err, "go %s", strings.Join(arguments, " "))
	return string(out)
}
