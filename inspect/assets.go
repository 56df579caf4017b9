package inspect

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed page openapi.yaml
var files embed.FS

// asset is a file of the page's.
type asset struct {
	content     []byte
	contentType string
	etag        string
}

// assets are all of them, by their path below the handler's.
var assets = sync.OnceValue(func() map[string]asset {
	all := make(map[string]asset)
	_ = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error { // what is embedded can be read
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := files.ReadFile(name)
		sum := sha256.Sum256(content)
		all[strings.TrimPrefix(name, "page/")] = asset{content, contentTypes[path.Ext(name)], `"` + base64.RawURLEncoding.EncodeToString(sum[:15]) + `"`}
		return err
	})
	return all
})

// contentTypes are not those of package mime, which asks the machine.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon", ".json": "application/json",
	".webmanifest": "application/manifest+json", ".txt": "text/plain; charset=utf-8", ".yaml": "application/yaml",
}

// page sends the page, or an asset of it.
func (h *handler) page(w http.ResponseWriter, r *http.Request, name string) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return methodProblem(map[string]operation{http.MethodGet: nil})
	}
	if r.URL.Path == "" {
		return h.redirect(w, r)
	}
	if name == "" {
		name = "index.html"
	}
	return send(w, r, name)
}

// redirect puts a slash behind the path at which the handler is mounted, without which
// the page would look for its assets one level up.
func (h *handler) redirect(w http.ResponseWriter, r *http.Request) error {
	sent, _, _ := strings.Cut(r.RequestURI, "?")
	w.Header().Set("Location", "./"+path.Base(sent)+"/")
	w.WriteHeader(http.StatusPermanentRedirect)
	return nil
}

func send(w http.ResponseWriter, r *http.Request, name string) error {
	file, found := assets()[name]
	if !found || file.contentType == "" {
		return &problem{status: http.StatusNotFound, code: "no_route", detail: "there is nothing at this path; openapi.yaml lists the paths"}
	}
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("Cache-Control", "no-cache") // a new version of the program has another page
	header.Set("ETag", file.etag)
	if none := r.Header.Get("If-None-Match"); none == "*" || strings.Contains(none, file.etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	header.Set("Content-Type", file.contentType)
	header.Set("Content-Length", strconv.Itoa(len(file.content)))
	_, _ = w.Write(file.content) // a client that is gone needs no answer
	return nil
}

func (h *handler) openAPI(w http.ResponseWriter, r *http.Request, _ []string) error {
	return send(w, r, "openapi.yaml")
}
