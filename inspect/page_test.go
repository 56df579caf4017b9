package inspect

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mostBytes is how large the page may be, all its files together.
const mostBytes = 150_000

func pageFiles(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, fs.WalkDir(files, "page", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		found[strings.TrimPrefix(name, "page/")] = string(content)
		return err
	}))
	require.Contains(t, found, "index.html")
	return found
}

func TestPage_IsSmall(t *testing.T) {
	total := 0
	for _, content := range pageFiles(t) {
		total += len(content)
	}
	assert.LessOrEqual(t, total, mostBytes)
	t.Logf("%d bytes", total)
}

// TestPage_BringsAllThatItNeeds: whatever a file refers to is beside it, and nothing is
// there that no file refers to.
func TestPage_BringsAllThatItNeeds(t *testing.T) {
	found := pageFiles(t)
	used := map[string]bool{"index.html": true}
	reference := regexp.MustCompile(`(?:src|href)="([^"#]+)"|from "([^"]+)"|import "([^"]+)"|url\(([^)]*)\)`)
	for name, content := range found {
		for _, match := range reference.FindAllStringSubmatch(content, -1) {
			to := path.Clean(match[1] + match[2] + match[3] + match[4])
			assert.Contains(t, found, to, name)
			used[to] = true
		}
		assert.NotRegexp(t, `https?://(?:[^w]|w[^w])`, content, "%s leads elsewhere", name) // but for the name spaces of SVG
	}
	for name := range found {
		assert.True(t, used[name], "nothing refers to %s", name)
	}
}

// TestPage_TakesNothingForMarkup: neither the policy nor these hold without the other.
func TestPage_TakesNothingForMarkup(t *testing.T) {
	for name, content := range pageFiles(t) {
		switch path.Ext(name) {
		case ".js":
			// Comments may speak of it.
			code := regexp.MustCompile(`(?m)^\s*//.*$`).ReplaceAllString(content, "")
			assert.NotRegexp(t, `innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|srcdoc|setHTML|new Function|\beval\b|javascript:`, code, name)
			assert.NotRegexp(t, `setTimeout\(["'\x60]|setAttribute\("(on|style)`, code, name)
		case ".html":
			assert.NotRegexp(t, `(?i)\son[a-z]+=|\sstyle=|<style|<script(?:[^>]*[^"]|)>|javascript:`, content, name)
			assert.NotRegexp(t, `<script[^>]*>[^<]`, content, name)
		}
	}
}
