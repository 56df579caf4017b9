//go:build unix

package api_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// Everything that people do to a file, to each of a store's files, at each moment of
// its life: what was acknowledged is there afterwards, or an error has a name; and
// what belongs to another owner stays as it is.

// scene is a store whose files something is done to.
type scene struct {
	t       *testing.T
	path    string
	suffix  string // of the file
	reopen  []string
	foreign map[string]string // files that are not the store's, and their content
	undone  bool              // the database was put back on purpose to what it was at first
	removed bool              // ... or taken away while it was closed
}

func (s *scene) file() string { return s.path + s.suffix }

func (s *scene) there() bool {
	_, err := os.Lstat(s.file())
	return err == nil
}

// precious is a file of another owner's.
func (s *scene) precious(path string) {
	content := strings.Repeat("precious ", 5_000)
	require.NoError(s.t, os.WriteFile(path, []byte(content), 0o600))
	s.foreign[path] = content
}

// deeds are what is done. A deed that makes no sense does nothing.
var deeds = map[string]func(s *scene){
	"hard link": func(s *scene) {
		require.NoError(s.t, os.Link(s.file(), s.file()+".link"))
		if s.suffix == "" {
			s.reopen = append(s.reopen, s.path+".link")
		}
	},
	"symlink to it": func(s *scene) {
		require.NoError(s.t, os.Symlink(s.file(), s.file()+".link"))
		if s.suffix == "" {
			s.reopen = append(s.reopen, s.path+".link")
		}
	},
	"symlink in its place": func(s *scene) {
		require.NoError(s.t, os.Rename(s.file(), s.file()+".real"))
		require.NoError(s.t, os.Symlink(s.file()+".real", s.file()))
	},
	"symlink to somebody's": func(s *scene) {
		s.precious(s.path + ".precious")
		require.NoError(s.t, os.Remove(s.file()))
		require.NoError(s.t, os.Symlink(s.path+".precious", s.file()))
	},
	"copy": func(s *scene) {
		copied := filepath.Join(s.t.TempDir(), "copied.db")
		copyFile(s.t, s.file(), copied+s.suffix)
		if s.suffix == "" {
			s.reopen = append(s.reopen, copied)
		}
	},
	"move": func(s *scene) {
		require.NoError(s.t, os.Rename(s.file(), s.file()+".moved"))
		s.removed = s.suffix == ""
	},
	"move the folder": func(s *scene) {
		moved := filepath.Dir(s.path) + ".moved"
		require.NoError(s.t, os.Rename(filepath.Dir(s.path), moved))
		s.reopen = []string{filepath.Join(moved, filepath.Base(s.path))}
	},
	"replace": func(s *scene) {
		s.precious(s.path + ".precious")
		content := s.foreign[s.path+".precious"]
		delete(s.foreign, s.path+".precious")
		require.NoError(s.t, os.Rename(s.path+".precious", s.file()))
		s.foreign[s.file()] = content
	},
	"overwrite": func(s *scene) { s.precious(s.file()) },
	"remove":    func(s *scene) { require.NoError(s.t, os.Remove(s.file())); s.removed = s.suffix == "" },
	"truncate":  func(s *scene) { require.NoError(s.t, os.Truncate(s.file(), 0)) },
	"cut": func(s *scene) {
		info, err := os.Stat(s.file())
		require.NoError(s.t, err)
		require.NoError(s.t, os.Truncate(s.file(), info.Size()/2))
	},
	"restore":        func(s *scene) { copyFile(s.t, s.file()+".old", s.file()); s.undone = s.suffix == "" },
	"restore beside": func(s *scene) { require.NoError(s.t, os.Rename(s.file()+".old", s.file())); s.undone = s.suffix == "" },
	"bind mount":     bindMount,
}

var whens = []string{"before open", "while open", "before Close", "after kill -9"}

// holder is the process that has the store open: another process, which can be killed, or this one,
// which is quicker to begin.
type holder interface {
	tell(line string) string
	sets(from, to int)
}

// resident holds a store in this process.
type resident struct {
	t     *testing.T
	store *api.Store
}

func (r resident) tell(line string) string {
	if err := obey(r.store, "", line); err != nil {
		return err.Error()
	}
	return "ok"
}

func (r resident) sets(from, to int) {
	for i := from; i < to; i++ {
		require.Equal(r.t, "ok", r.tell(fmt.Sprint("set ", i)))
	}
}

// makeTemplate makes a closed store of ten keys, and keeps what its files were when it
// was open.
func makeTemplate(t *testing.T) (folder string) {
	folder = t.TempDir()
	path := filepath.Join(folder, "app.db")
	owner := startChild(t, taskServe, path)
	owner.sets(0, 10)
	for _, suffix := range []string{"-wal", "-shm", "-lock"} {
		copyFile(t, path+suffix, path+suffix+".old")
	}
	require.Equal(t, "ok", owner.tell("close"))
	copyFile(t, path, path+".old")
	return folder
}

func TestEverythingThatPeopleDoToFiles(t *testing.T) {
	template := makeTemplate(t)
	for deed := range deeds {
		for _, suffix := range []string{"", "-wal", "-shm", "-lock"} {
			for _, when := range whens {
				if deed == "truncate" && suffix == "-shm" && (when == "while open" || when == "before Close") ||
					(deed == "cut" || deed == "overwrite" || deed == "restore") && suffix == "-shm" && (when == "while open" || when == "before Close") {
					continue // the system ends the process: see TestSharedMemoryCutWhileOpen
				}
				t.Run(strings.Join([]string{deed, "database" + suffix, when}, "/"), func(t *testing.T) {
					t.Parallel()
					play(t, template, deed, suffix, when)
				})
			}
		}
	}
}

// play copies the template, has ten more keys set, does the deed, and has more set
// where there is a holder to do so.
func play(t *testing.T, template, deed, suffix, when string) {
	folder := filepath.Join(t.TempDir(), "folder")
	require.NoError(t, os.CopyFS(folder, os.DirFS(template)))
	s := &scene{t: t, path: filepath.Join(folder, "app.db"), suffix: suffix, foreign: map[string]string{}}
	s.reopen = []string{s.path}
	acknowledged := 20
	var owner holder
	if when == "after kill -9" {
		victim := startChild(t, taskServe, s.path)
		victim.sets(10, 20)
		victim.kill()
	} else {
		store, err := api.New(s.path)
		require.NoError(t, err)
		owner = resident{t, store}
		owner.sets(10, 20)
	}
	if when == "before open" {
		require.Equal(t, "ok", owner.tell("close"))
	}
	if s.there() {
		deeds[deed](s)
	}
	said := ""
	if when == "while open" {
		for acknowledged < 200 {
			if said = owner.tell(fmt.Sprint("set ", acknowledged)); said != "ok" {
				break
			}
			acknowledged++
		}
	}
	if when == "while open" || when == "before Close" {
		if closed := owner.tell("close"); closed != "ok" {
			said += closed
		}
	}
	for path, content := range s.foreign {
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, content == string(got), "%s is not as it was", path)
	}
	for _, path := range s.reopen {
		s.judge(path, when, said, acknowledged)
	}
	for path, content := range s.foreign {
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, content == string(got), "%s is not as it was", path)
	}
}

// judge opens the store by a name. said is what was wrong before.
func (s *scene) judge(path, when, said string, acknowledged int) {
	t := s.t
	reader, readErr := api.New(path, api.WithReadOnly())
	if readErr == nil {
		require.NoError(t, reader.Close())
	}
	// A process that another test starts has every lock of this one until it is itself.
	store, err := api.New(path, api.WithLockTimeout(10*time.Second))
	if err != nil {
		require.True(t, isNamed(err), "an error without a name: %v", err)
		return
	}
	defer func() { require.NoError(t, store.Close()) }()
	all, err := store.GetAll(childGroup)
	require.NoError(t, err)
	switch {
	case s.removed && when == "before open":
		require.Empty(t, all, "a new store: there was nothing that could say more")
	case s.undone && len(all) == 10:
		require.Contains(t, all, "9", "the store that was put back")
	case len(all) < acknowledged && strings.Contains(said, api.FileLostError.Error()):
		// It was said when it happened.
	default:
		for i := range acknowledged {
			require.Equal(t, strconv.Itoa(i), all[strconv.Itoa(i)], "%d keys were acknowledged, %d are there; said before: %q", acknowledged, len(all), said)
		}
	}
	report, err := store.Check(t.Context())
	require.NoError(t, err)
	require.True(t, report.Whole(), "%v", report.Findings)
}

func isNamed(err error) bool {
	for _, name := range []error{api.NotADatabaseError, api.TruncatedFileError, api.ForeignFileError, api.MissingWALError,
		api.StaleWALError, api.UnrecoveredError, os.ErrNotExist} {
		if errors.Is(err, name) {
			return true
		}
	}
	return false
}
