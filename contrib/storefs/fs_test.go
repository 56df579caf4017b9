package storefs_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/contrib/storefs"
	"forge.lthn.ai/core/go-store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is the file system of most tests, and what no file system can show.
var (
	site = map[string]string{
		"index.html": "<h1>hello</h1>", "empty": "", "css/main.css": "body {}", "css/deep/er/x.css": "x",
		"a-b": "sorts before a/", "a/b": "b", "a/c/d": "d", "a0": "sorts behind a/", "ünïcode/日本": "\x00\xff",
		"sp ace": "s", "nul\x00": "n", "img.v1/logo.png": "png", "css-old/main.css": "old",
	}
	unseen = []string{"", ".", "..", "/", "/abs", "dir/", "css//main.css", "a/../index.html", "./index.html", "\xff", "css/\xff", "a", "css"}
)

func fill(t testing.TB, store api.Storer) {
	t.Helper()
	items := []api.Item{}
	for name, text := range site {
		items = append(items, api.Item{Group: "site", Key: name, Value: text}, api.Item{Group: "site2", Key: "x" + name, Value: "no"})
	}
	for _, name := range unseen {
		items = append(items, api.Item{Group: "site", Key: name, Value: "unseen"})
	}
	require.NoError(t, store.SetAll(items))
	require.NoError(t, store.SetWithTTL("site", "gone/x", "expired", 0))
}

// TestFS is the standard library's conformance test, on each kind of reader.
func TestFS(t *testing.T) {
	s := storetest.New(t)
	scoped, err := api.NewScoped(s.Store, "tenant")
	require.NoError(t, err)
	fill(t, s.Store)
	fill(t, scoped)
	snapshot, err := s.Snapshot()
	require.NoError(t, err)
	defer snapshot.Close()
	memory := storetest.New(t, storetest.InMemory())
	fill(t, memory.Store)
	var names []string
	for name := range site {
		names = append(names, name)
	}
	for name, reader := range map[string]storefs.Reader{"store": s.Store, "scope": scoped, "snapshot": snapshot, "memory": memory.Store} {
		t.Run(name, func(t *testing.T) {
			files := storefs.New(reader, "site")
			require.NoError(t, fstest.TestFS(files, names...))
			seen := map[string]string{}
			require.NoError(t, fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
				require.NoError(t, err)
				if entry.IsDir() {
					return nil
				}
				text, err := fs.ReadFile(files, name)
				seen[name] = string(text)
				return err
			}))
			require.Equal(t, site, seen)
			sub, err := fs.Sub(files, "css")
			require.NoError(t, err)
			require.NoError(t, fstest.TestFS(sub, "main.css", "deep/er/x.css"))
		})
	}
	require.NoError(t, fstest.TestFS(storefs.New(s.Store, "nothing")))
	require.NoError(t, fstest.TestFS(storefs.New(s.Store, "")))
}

func TestNamesThatAreNone(t *testing.T) {
	s := storetest.New(t)
	fill(t, s.Store)
	files := storefs.New(s.Store, "site")
	for _, name := range []string{"", "..", "/", "/abs", "dir/", "css//main.css", "a/../index.html", "./index.html", "\xff", "css/\xff"} {
		for operation, err := range every(files, name) {
			require.ErrorIs(t, err, fs.ErrInvalid, "%s %q", operation, name)
			var path *fs.PathError
			require.ErrorAs(t, err, &path)
			require.Equal(t, name, path.Path)
		}
	}
	for _, name := range []string{"none", "css/none", "css/main.css/below", "dir", "gone", "gone/x", "index.htm", string(make([]byte, 1<<20))} {
		for operation, err := range every(files, name) {
			require.ErrorIs(t, err, fs.ErrNotExist, "%s %q", operation, name)
		}
	}
	_, err := files.ReadDir("index.html")
	require.ErrorContains(t, err, "not a folder")
	_, err = files.ReadFile("css")
	require.ErrorContains(t, err, "is a folder")
}

// every is what each way of asking for a name says.
func every(files *storefs.FS, name string) map[string]error {
	_, open := files.Open(name)
	_, stat := files.Stat(name)
	_, read := files.ReadFile(name)
	_, list := files.ReadDir(name)
	return map[string]error{"open": open, "stat": stat, "readfile": read, "readdir": list}
}

// An open file is what it was when it was opened; a closed one says so.
func TestOpenFiles(t *testing.T) {
	s := storetest.New(t)
	fill(t, s.Store)
	files := storefs.New(s.Store, "site")
	file, err := files.Open("index.html")
	require.NoError(t, err)
	require.NoError(t, s.Set("site", "index.html", "new"))
	text, err := io.ReadAll(file)
	require.NoError(t, err)
	require.Equal(t, site["index.html"], string(text))
	seeker := file.(io.ReadSeeker)
	_, err = seeker.Seek(-1, io.SeekStart)
	require.ErrorIs(t, err, fs.ErrInvalid)
	_, err = file.(io.ReaderAt).ReadAt(make([]byte, 1), -1)
	require.ErrorIs(t, err, fs.ErrInvalid)
	require.NoError(t, file.Close())
	require.ErrorIs(t, file.Close(), fs.ErrClosed)
	_, err = file.Read(nil)
	require.ErrorIs(t, err, fs.ErrClosed)
	_, err = seeker.Seek(0, io.SeekStart)
	require.ErrorIs(t, err, fs.ErrClosed)
	_, err = file.Stat()
	require.ErrorIs(t, err, fs.ErrClosed)

	info, err := files.Stat("index.html")
	require.NoError(t, err)
	entry, err := s.Entry("site", "index.html")
	require.NoError(t, err)
	require.Equal(t, entry.Revision, info.Sys())

	folder, err := files.Open("css")
	require.NoError(t, err)
	_, err = folder.Read(make([]byte, 1))
	require.ErrorContains(t, err, "is a folder")
	listing := folder.(fs.ReadDirFile)
	first, err := listing.ReadDir(1)
	require.NoError(t, err)
	require.Equal(t, "d deep/", fmt.Sprint(first[0]))
	require.NoError(t, s.Delete("site", "css/main.css"))
	rest, err := listing.ReadDir(-1)
	require.NoError(t, err)
	require.Len(t, rest, 1)
	_, err = rest[0].Info()
	require.ErrorIs(t, err, fs.ErrNotExist, "it is gone meanwhile")
	_, err = listing.ReadDir(1)
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, folder.Close())
	_, err = listing.ReadDir(0)
	require.ErrorIs(t, err, fs.ErrClosed)

	bytes, err := files.ReadFile("a/b")
	require.NoError(t, err)
	bytes[0] = 'X'
	bytes, err = files.ReadFile("a/b")
	require.NoError(t, err)
	require.Equal(t, "b", string(bytes))
}

func TestHTTP(t *testing.T) {
	s := storetest.New(t)
	fill(t, s.Store)
	for _, handler := range []http.Handler{
		http.FileServerFS(storefs.New(s.Store, "site")), http.FileServer(http.FS(storefs.New(s.Store, "site"))),
	} {
		for path, want := range map[string]string{
			"/": site["index.html"], "/css/main.css": "body {}", "/a/": "<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n<a href=\"b\">b</a>\n<a href=\"c/\">c/</a>\n</pre>\n",
			"/empty": "", "/%C3%BCn%C3%AFcode/%E6%97%A5%E6%9C%AC": "\x00\xff", "/nul%00": "n",
		} {
			response := httptest.NewRecorder()
			handler.ServeHTTP(response, httptest.NewRequest(http.MethodGet, path, nil))
			require.Equal(t, http.StatusOK, response.Code, path)
			require.Equal(t, want, response.Body.String(), path)
		}
		request := httptest.NewRequest(http.MethodGet, "/css/main.css", nil)
		request.Header.Set("Range", "bytes=2-3")
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)
		require.Equal(t, http.StatusPartialContent, response.Code)
		require.Equal(t, "dy", response.Body.String())
		for _, path := range []string{"/none", "/%FF", "/gone/x", "/dir/none"} {
			response := httptest.NewRecorder()
			handler.ServeHTTP(response, httptest.NewRequest(http.MethodGet, path, nil))
			require.NotEqual(t, http.StatusOK, response.Code, path)
			require.NotContains(t, response.Body.String(), "unseen")
		}
	}
}

// A folder is listed as it is at one moment, whatever is written between the scans that
// it takes.
func TestListedAtOneMoment(t *testing.T) {
	s := storetest.New(t, storetest.InMemory())
	require.NoError(t, s.Set("g", "z/x", "")) // until the folder was found to be there
	at, to := "z/x", "a/x"
	list, err := storefs.New(&restless{s.Store, func() {
		_, err := s.Batch(new(api.Batch).Delete("g", at).Set("g", to, ""))
		require.NoError(t, err)
		at, to = to, at
	}}, "g").ReadDir(".")
	require.NoError(t, err)
	require.Len(t, list, 1, "one of the two is there at every moment: %v", list)
}

// restless is a store that is written after each scan.
type restless struct {
	*api.Store
	write func()
}

func (r *restless) Scan(options api.ScanOptions) iter.Seq2[api.ScanEntry, error] {
	return func(yield func(api.ScanEntry, error) bool) {
		defer r.write()
		r.Store.Scan(options)(yield)
	}
}

// What lies below is not read: a folder of three is listed as fast however much they hold.
func TestPassesOverWhatLiesDeeper(t *testing.T) {
	s := storetest.New(t, storetest.InMemory())
	for folder := range 3 {
		items := []api.Item{}
		for file := range 10_000 {
			items = append(items, api.Item{Group: "g", Key: fmt.Sprintf("%d/%d", folder, file)})
		}
		require.NoError(t, s.SetAll(items))
	}
	counting := &counter{Reader: s.Store}
	list, err := storefs.New(counting, "g").ReadDir(".")
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.Less(t, counting.keys, 20)
}

type counter struct {
	storefs.Reader
	keys int
}

func (c *counter) Scan(options api.ScanOptions) iter.Seq2[api.ScanEntry, error] {
	return func(yield func(api.ScanEntry, error) bool) {
		for entry, err := range c.Reader.Scan(options) {
			c.keys++
			if !yield(entry, err) {
				return
			}
		}
	}
}

func TestFailures(t *testing.T) {
	s := storetest.New(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	closed, err := api.New(":memory:")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	snapshot, err := s.Snapshot()
	require.NoError(t, err)
	require.NoError(t, snapshot.Close())
	expired, err := s.Snapshot()
	require.NoError(t, err)
	defer expired.Close()
	s.Advance(time.Hour)
	for name, failing := range map[string]struct {
		reader storefs.Reader
		want   error
	}{
		"context":         {s.WithContext(ended), context.Canceled},
		"closed":          {closed, api.ClosedError},
		"nil":             {nil, api.NilStoreError},
		"nil store":       {(*api.Store)(nil), api.NilStoreError},
		"closed snapshot": {snapshot, api.SnapshotClosedError},
		"old snapshot":    {expired, api.SnapshotExpiredError},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"a/b", "."} {
				for operation, err := range every(storefs.New(failing.reader, "g"), path) {
					require.ErrorIs(t, err, failing.want, "%s %s", operation, path)
					require.NotErrorIs(t, err, fs.ErrNotExist)
				}
			}
		})
	}
	folder, err := storefs.New(closed, "g").Open(".")
	require.ErrorIs(t, err, api.ClosedError)
	require.Nil(t, folder)
}
