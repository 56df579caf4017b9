package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// process is the program in a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  chan string // closed when it has ended
	stderr bytes.Buffer
}

func startProgram(t *testing.T, arguments ...string) *process {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	p := &process{t: t, cmd: exec.Command(program, arguments...), lines: make(chan string, 1<<12)}
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.lines)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			p.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			p.wait()
		}
	})
	return p
}

// line is the next line that the program prints.
func (p *process) line() string {
	p.t.Helper()
	select {
	case line, open := <-p.lines:
		if !open {
			p.wait()
			require.FailNow(p.t, "the program has ended", p.stderr.String())
		}
		return line
	case <-time.After(30 * time.Second):
		require.FailNow(p.t, "the program prints nothing")
		return ""
	}
}

// wait is the exit code, once the program has ended.
func (p *process) wait() int {
	for range p.lines {
	}
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// interrupt is Ctrl-C.
func (p *process) interrupt() (code int) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(os.Interrupt))
	return p.wait()
}

func openOwner(t *testing.T, options ...api.Option) (owner *api.Store, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s.db")
	owner, err := api.New(path, options...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, owner.Close()) })
	return owner, path
}

// bytesOf is a field of a line as the bytes that it stands for.
func bytesOf(t *testing.T, line, field string) string {
	t.Helper()
	var found map[string]any
	require.NoError(t, json.Unmarshal([]byte(line), &found))
	if text, ok := found[field].(string); ok {
		return text
	}
	var encoded map[string][]byte
	only, err := json.Marshal(map[string]any{field: found[field+"_base64"]})
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(only, &encoded))
	require.NotEmpty(t, encoded[field], line)
	return string(encoded[field])
}

func TestWatch_BesideAnOwner(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process can't be sent a Ctrl-C")
	}
	owner, db := openOwner(t)
	require.NoError(t, owner.Set("before", "k", "v"))
	watch := startProgram(t, "watch", "--db", db, "--json", "--from", "1", "--prefix", "")
	require.Contains(t, watch.line(), `{"revision":1,"type":"set","time":"`)
	texts := []string{"", "plain", "<&> \u2028 line\nend\r\n", "\x00", "\xff\xfe", "é\xc3", "\uFFFD", `"quoted"\`}
	for _, text := range texts {
		require.NoError(t, owner.Set(text, text, text))
	}
	for i, text := range texts {
		line := watch.line()
		for _, field := range []string{"group", "key", "value"} {
			require.Equal(t, text, bytesOf(t, line, field), "%d: %s", i, line)
		}
	}
	require.NoError(t, owner.Delete("\xff\xfe", "\xff\xfe"))
	require.NotContains(t, watch.line(), "value")
	require.NoError(t, owner.DeleteGroup("plain"))
	line := watch.line()
	require.Contains(t, line, `"type":"delete_group"`)
	require.NotContains(t, line, "key")
	require.Zero(t, watch.interrupt())
	require.Empty(t, watch.stderr.String())

	// And on from there.
	require.NoError(t, owner.Set("g", "k", "after"))
	again := startProgram(t, "watch", "--db", db, "--json", "--from", "12", "g", "k")
	require.Equal(t, "after", bytesOf(t, again.line(), "value"))
	require.NoError(t, owner.Close())
	next, err := api.New(db) // it follows the file's owner
	require.NoError(t, err)
	require.NoError(t, next.Set("g", "other", "v"))
	require.NoError(t, next.Set("g", "k", "anew"))
	require.Equal(t, "anew", bytesOf(t, again.line(), "value"))
	require.NoError(t, next.Close())
	require.Zero(t, again.interrupt())
}

var clockTime = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}`)

func TestWatch_StateThenChanges(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process can't be sent a Ctrl-C")
	}
	owner, db := openOwner(t)
	require.NoError(t, owner.Set("config", "theme", "dark\n"))
	require.NoError(t, owner.Set("config", "lang", "en"))
	require.NoError(t, owner.Set("configuration", "theme", "x"))
	watch := startProgram(t, "watch", "--db", db, "--state", "--prefix", "config", "t")
	lines := []string{watch.line(), watch.line()}
	require.NoError(t, owner.SetWithTTL("config", "two words", "v", time.Hour))
	require.NoError(t, owner.Set("config", "other", "v"))
	lines = append(lines, watch.line())
	require.NoError(t, owner.DeleteGroup("config"))
	lines = append(lines, watch.line())
	require.Zero(t, watch.interrupt())
	assert.Equal(t, []string{
		`       1  -                        set           config theme = "dark\n"`,
		`       3  TIME  synced        that is the state; what follows are changes`,
		`       4  TIME  set           config "two words" = "v" until TIME`,
		`       6  TIME  delete_group  config`,
	}, strings.Split(clockTime.ReplaceAllString(strings.Join(lines, "\n"), "TIME"), "\n"))
}

func TestWatch_RevisionsThatCannotBeHad(t *testing.T) {
	owner, db := openOwner(t, api.WithHistory(api.Retention{Revisions: 10}), api.WithDurability(api.DurabilityBuffered))
	for range 100 {
		require.NoError(t, owner.Set("g", "k", "v"))
	}
	require.NoError(t, owner.Fold(t.Context())) // the log keeps what the table lacks
	require.NoError(t, owner.Set("g", "k", "v"))
	got := gostore("watch", "--db", db, "--from", "200", "g")
	assert.Equal(t, outcome{failed, "", "gostore: revision 200 lies in the future, the current one is 101: is this the database that it came from?\n"}, got)
	got = gostore("watch", "--db", db, "--from", "2", "g")
	assert.Equal(t, failed, got.code)
	assert.Empty(t, got.stdout)
	assert.Regexp(t, `^gostore: revision 2 is no longer in the log, the oldest is (\d+): use --from \d+, or --state for what there is\n$`, got.stderr)
}

func TestHistory(t *testing.T) {
	owner, db := openOwner(t)
	require.NoError(t, owner.Set("g", "k", "1"))
	require.NoError(t, owner.Set("g", "other", "x"))
	require.NoError(t, owner.Delete("g", "k"))
	require.NoError(t, owner.Set("g", "k", "\xff"))
	require.NoError(t, owner.DeleteGroup("g"))
	got := gostore("history", "--db", db, "g", "k")
	assert.Equal(t, printed(`       1  TIME  set           g k = "1"
       3  TIME  delete        g k
       4  TIME  set           g k = "\xff"
       5  TIME  delete_group  g
`), outcome{got.code, clockTime.ReplaceAllString(got.stdout, "TIME"), got.stderr})
	lines := strings.Split(strings.TrimSpace(gostore("history", "--db", db, "--json", "g", "k").stdout), "\n")
	require.Len(t, lines, 4)
	assert.Equal(t, "\xff", bytesOf(t, lines[2], "value"))
	assert.Equal(t, printed(""), gostore("history", "--db", db, "nothing", "k"))
}

// TestChanges_EveryType: to the byte, in both formats.
func TestChanges_EveryType(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC)
	for _, test := range []struct {
		event      api.Event
		text, json string
	}{
		{api.Event{Type: api.EventSet, Revision: 7, Timestamp: at, Group: "g", Key: "", Value: "", ExpiresAt: at.Add(time.Hour)},
			`       7  2026-01-02 03:04:05.678  set           g "" = "" until 2026-01-02 04:04:05.678`,
			`{"revision":7,"type":"set","time":"2026-01-02T03:04:05.6789Z","group":"g","key":"","value":"","expires_at":"2026-01-02T04:04:05.6789Z"}`},
		{api.Event{Type: api.EventExpire, Revision: 7, Timestamp: at, Group: "\xff", Key: "é", Value: "<\xff>"},
			`       7  2026-01-02 03:04:05.678  expire        "\xff" é = "<\xff>"`,
			`{"revision":7,"type":"expire","time":"2026-01-02T03:04:05.6789Z","group_base64":"/w==","key":"é","value_base64":"PP8+"}`},
		{api.Event{Type: api.EventDelete, Revision: 7, Timestamp: at, Group: "g", Key: "<k>"},
			`       7  2026-01-02 03:04:05.678  delete        g <k>`,
			`{"revision":7,"type":"delete","time":"2026-01-02T03:04:05.6789Z","group":"g","key":"<k>"}`},
		{api.Event{Type: api.EventDeleteGroup, Revision: 7, Timestamp: at, Group: ""},
			`       7  2026-01-02 03:04:05.678  delete_group  ""`,
			`{"revision":7,"type":"delete_group","time":"2026-01-02T03:04:05.6789Z","group":""}`},
		{api.Event{Type: api.EventGap, Revision: 7, Timestamp: at, Gap: &api.Gap{From: 3, To: 7}},
			`       7  2026-01-02 03:04:05.678  gap           revisions 3 to 7 were missed`,
			`{"revision":7,"type":"gap","time":"2026-01-02T03:04:05.6789Z","from":3,"to":7}`},
	} {
		var text, asJSON bytes.Buffer
		require.NoError(t, newChangePrinter(&text, false).print(test.event))
		require.NoError(t, newChangePrinter(&asJSON, true).print(test.event))
		assert.Equal(t, test.text+"\n", text.String())
		assert.Equal(t, test.json+"\n", asJSON.String())
	}
}
