package layout

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/stretchr/testify/require"
)

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testkit.Root(t), filepath.FromSlash(name)))
	require.NoError(t, err)
	return string(text)
}

// TestEveryPackageIsOnTheMap: docs/ARCHITECTURE.md names the folder of each package, or one
// that holds it, and CONTRIBUTING.md the one at the top.
func TestEveryPackageIsOnTheMap(t *testing.T) {
	root, folders := testkit.Root(t), map[string]bool{}
	require.NoError(t, filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skip(root, name, entry.Name())
		}
		if relative, err := filepath.Rel(root, name); err == nil && strings.HasSuffix(name, ".go") {
			folders[path.Dir(filepath.ToSlash(relative))] = true
		}
		return nil
	}))
	require.Greater(t, len(folders), 40)
	tree, _, found := strings.Cut(page(t, "docs/ARCHITECTURE.md"), "\nImports point one way.")
	require.True(t, found)
	contributing := page(t, "CONTRIBUTING.md")
	onTheMap := func(folder string) bool {
		for at := folder; at != "."; at = path.Dir(at) {
			if strings.Contains(tree, "\n"+at+"/ ") {
				return at != "internal" && at != "actors"
			}
		}
		return false
	}
	for folder := range folders {
		require.True(t, onTheMap(folder), "docs/ARCHITECTURE.md says nothing of %s", folder)
		top, _, _ := strings.Cut(folder, "/")
		require.Contains(t, contributing, "| `"+top+"/", "CONTRIBUTING.md")
	}
}

// TestEveryDecisionIsListed, under the title that it has.
func TestEveryDecisionIsListed(t *testing.T) {
	index := page(t, "docs/adr/README.md")
	files, err := filepath.Glob(filepath.Join(testkit.Root(t), "docs/adr/[0-9]*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := filepath.Base(file)
		title, _, _ := strings.Cut(page(t, "docs/adr/"+name), "\n")
		number, title, _ := strings.Cut(strings.TrimPrefix(title, "# "), " ")
		number = strings.TrimRight(number, ".:")
		require.True(t, strings.HasPrefix(name, number+"-"), name)
		require.Contains(t, index, "| ["+number+"]("+name+") | "+title+" |")
	}
	require.Equal(t, len(files), strings.Count(index, "\n| ["), "one that there is not")

	// Of a number that has no row the index says that it was never given.
	_, never, found := strings.Cut(index, "were never given: ")
	require.True(t, found)
	never, _, _ = strings.Cut(never, ".")
	missing := map[int]bool{}
	for _, numbers := range strings.Split(never, ", ") {
		first, last, several := strings.Cut(numbers, " to ")
		if !several {
			last = first
		}
		for n := atoi(t, first); n <= atoi(t, last); n++ {
			missing[n] = true
		}
	}
	last := atoi(t, filepath.Base(files[len(files)-1])[:4])
	require.Equal(t, last, len(files)+len(missing), "a hole, or one that is there after all")
	for _, file := range files {
		require.False(t, missing[atoi(t, filepath.Base(file)[:4])], file)
	}
}

func atoi(t *testing.T, digits string) int {
	t.Helper()
	n, err := strconv.Atoi(digits)
	require.NoError(t, err)
	return n
}

var (
	superseded = regexp.MustCompile(`^\*Superseded( in part)? by ([^*]*)\*`)
	supersedes = regexp.MustCompile(`^\*Supersedes( in part)? ([^*]*)\*`)
	decision   = regexp.MustCompile(`\[([0-9]{4})\]\(`)
)

// TestDecisionsThatHoldNoMore: what a decision says below its title of later ones the index
// says too, and what a later one says of it is said there.
func TestDecisionsThatHoldNoMore(t *testing.T) {
	index := page(t, "docs/adr/README.md")
	files, err := filepath.Glob(filepath.Join(testkit.Root(t), "docs/adr/[0-9]*.md"))
	require.NoError(t, err)
	marks, by := map[string]string{}, map[string]string{}
	for _, file := range files {
		name := filepath.Base(file)
		_, text, _ := strings.Cut(page(t, "docs/adr/"+name), "\n\n")
		mark := ""
		if m := superseded.FindStringSubmatch(text); m != nil {
			var later []string
			for _, number := range decision.FindAllStringSubmatch(m[2], -1) {
				later = append(later, number[1])
			}
			mark = "superseded" + m[1] + " by " + strings.Join(later, ", ")
		}
		marks[name[:4]] = mark
		if m := supersedes.FindStringSubmatch(text); m != nil {
			for _, number := range decision.FindAllStringSubmatch(m[2], -1) {
				by[number[1]+" by "+name[:4]] = m[1]
			}
		}
		_, row, _ := strings.Cut(index, "("+name+") | ")
		row, _, _ = strings.Cut(row, "\n")
		_, row, _ = strings.Cut(row, " |")
		require.Equal(t, mark, strings.Trim(row, " |"), name)
	}
	for pair, part := range by {
		earlier, later, _ := strings.Cut(pair, " by ")
		require.Contains(t, marks[earlier], "superseded"+part+" by ", pair)
		require.Contains(t, marks[earlier], later, pair)
	}
}

// TestLinksLeadSomewhere: those of the documentation to files of ours.
func TestLinksLeadSomewhere(t *testing.T) {
	root := testkit.Root(t)
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md", "docs/benchmarks/*.md", "examples/*.md", "contrib/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		pages = append(pages, found...)
	}
	link := regexp.MustCompile(`\]\(([^)#:\s]+)(#[^)]*)?\)`)
	for _, name := range pages {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, to := range link.FindAllStringSubmatch(string(text), -1) {
			_, err := os.Stat(filepath.Join(filepath.Dir(name), filepath.FromSlash(to[1])))
			require.NoError(t, err, "%s links to %s", name, to[1])
		}
	}
}
