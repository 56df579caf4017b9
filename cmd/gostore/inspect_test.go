package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inspector is 'gostore inspect' while it runs.
type inspector struct {
	t       *testing.T
	page    *url.URL
	client  *http.Client
	end     context.CancelFunc
	outcome chan outcome
}

func startInspect(t *testing.T, arguments ...string) *inspector {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	output, stdout := io.Pipe()
	i := &inspector{t: t, end: cancel, outcome: make(chan outcome, 1), client: &http.Client{Transport: &http.Transport{}}}
	go func() {
		var stderr strings.Builder
		code := run(ctx, append([]string{"inspect"}, arguments...), strings.NewReader(""), stdout, &stderr)
		_ = stdout.Close()
		i.outcome <- outcome{code, "", stderr.String()}
	}()
	t.Cleanup(func() {
		i.client.CloseIdleConnections()
		cancel()
		_, _ = io.Copy(io.Discard, output)
	})
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err, "it has ended")
	i.page, err = url.Parse(strings.TrimSpace(line))
	require.NoError(t, err)
	return i
}

// stop is Ctrl-C.
func (i *inspector) stop() outcome {
	i.client.CloseIdleConnections()
	i.end()
	return <-i.outcome
}

func (i *inspector) token() string {
	token, found := strings.CutPrefix(i.page.Fragment, "token=")
	require.True(i.t, found, i.page)
	return token
}

// ask sends a request, with a token unless that is empty.
func (i *inspector) ask(method, path, token, body string) (status int, answer string) {
	i.t.Helper()
	request, err := http.NewRequestWithContext(i.t.Context(), method, i.page.Scheme+"://"+i.page.Host+path, strings.NewReader(body))
	require.NoError(i.t, err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := i.client.Do(request)
	require.NoError(i.t, err)
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	require.NoError(i.t, err)
	return response.StatusCode, string(content)
}

func TestInspect_ShowsADatabaseOnceTheTokenIsGiven(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	require.Zero(t, gostore("set", "--db", db, "g", "k", "v").code)
	i := startInspect(t, "--db", db)
	host, _, err := net.SplitHostPort(i.page.Host)
	require.NoError(t, err)
	assert.Equal(t, "127.0.0.1", host)
	assert.Greater(t, len(i.token()), 20)

	status, page := i.ask(http.MethodGet, "/", "", "")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, page, "<!doctype html>")
	for _, token := range []string{"", "wrong", strings.ToLower(i.token())} {
		status, _ = i.ask(http.MethodGet, "/v1/g/k", token, "")
		assert.Equal(t, http.StatusUnauthorized, status, token)
	}
	status, value := i.ask(http.MethodGet, "/v1/g/k", i.token(), "")
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "v", value)
	status, info := i.ask(http.MethodGet, "/ui/info", i.token(), "")
	assert.Equal(t, http.StatusOK, status)
	var told struct{ Name string }
	require.NoError(t, json.Unmarshal([]byte(info), &told))
	assert.Equal(t, "s.db", told.Name)
	status, _ = i.ask(http.MethodPut, "/v1/g/k", i.token(), "w")
	assert.Equal(t, http.StatusForbidden, status, "writes were not allowed")
	assert.Equal(t, outcome{}, i.stop())
}

func TestInspect_EachTokenIsANewOne(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	require.Zero(t, gostore("set", "--db", db, "g", "k", "v").code)
	first, second := startInspect(t, "--db", db), startInspect(t, "--db", db)
	assert.NotEqual(t, first.token(), second.token())
	status, _ := first.ask(http.MethodGet, "/ui/info", second.token(), "")
	assert.Equal(t, http.StatusUnauthorized, status)
	assert.Equal(t, outcome{}, first.stop())
	assert.Equal(t, outcome{}, second.stop())
}

func TestInspect_WritesOnlyIfAsked(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	require.Zero(t, gostore("set", "--db", db, "g", "k", "v").code)
	i := startInspect(t, "--db", db, "--write", "--token", "a-token")
	assert.Equal(t, "a-token", i.token())
	status, answer := i.ask(http.MethodPut, "/v1/g/k", i.token(), "w")
	assert.Equal(t, http.StatusNoContent, status, answer)
	assert.Equal(t, outcome{}, i.stop())
	assert.Equal(t, printed("w\n"), gostore("get", "--db", db, "g", "k"))
}

// TestInspect_Measures: the page's charts of latencies are of what the store measures.
func TestInspect_Measures(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	require.Zero(t, gostore("set", "--db", db, "g", "k", "v").code)
	for _, flags := range [][]string{nil, {"--write"}} {
		i := startInspect(t, append([]string{"--db", db, "--no-token"}, flags...)...)
		status, _ := i.ask(http.MethodGet, "/v1/g/k", "", "")
		assert.Equal(t, http.StatusOK, status)
		_, answer := i.ask(http.MethodGet, "/ui/metrics", "", "")
		assert.Contains(t, answer, `"collecting":true`)
		assert.Contains(t, answer, `"requests.get"`)
		assert.Equal(t, outcome{}, i.stop())
	}
}

func TestInspect_BesideAnOwner(t *testing.T) {
	owner, db := openOwner(t)
	require.NoError(t, owner.Set("g", "k", "v"))
	i := startInspect(t, "--db", db, "--no-token")
	assert.Empty(t, i.page.Fragment)
	require.NoError(t, owner.Set("g", "k", "newer"))
	_, value := i.ask(http.MethodGet, "/v1/g/k", "", "")
	assert.Equal(t, "newer", value)

	got := gostore("inspect", "--db", db, "--write")
	assert.Equal(t, failed, got.code)
	assert.Contains(t, got.stderr, "is in use by process")
	assert.Empty(t, got.stdout)
	assert.Equal(t, outcome{}, i.stop())
}

// TestInspect_EndsItsStreams: a page that follows the changes does not keep the command.
func TestInspect_EndsItsStreams(t *testing.T) {
	owner, db := openOwner(t)
	require.NoError(t, owner.Set("g", "k", "v"))
	i := startInspect(t, "--db", db)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+i.page.Host+"/v1/watch?since=0", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+i.token())
	response, err := i.client.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() && lines.Text() != "event: set" {
	}
	require.Equal(t, "event: set", lines.Text())
	assert.Equal(t, outcome{}, i.stop())
	for lines.Scan() {
	}
	_ = lines.Err() // an end is an end
}

func TestInspect_Misuse(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	require.Zero(t, gostore("set", "--db", db, "g", "k", "v").code)
	for _, test := range []struct{ name, arguments, says string }{
		{"no port", "--addr 127.0.0.1", "that is no HOST:PORT"},
		{"every address", "--addr :0", "can be reached by other machines: name a --token"},
		{"every address of IPv4", "--addr 0.0.0.0:0", "can be reached by other machines"},
		{"every address of IPv6", "--addr [::]:0", "can be reached by other machines"},
		{"another machine's network", "--addr 192.0.2.1:0", "can be reached by other machines"},
		{"a name", "--addr example.com:0", "can be reached by other machines"},
		{"open to others", "--addr 0.0.0.0:0 --no-token", "can be reached by other machines"},
		{"both", "--token x --no-token", "give either --token or --no-token"},
		{"an empty token", "--token=", "name one, or use --no-token"},
		{"a token that no header carries", "--token=\u00e9", "use printable ASCII"},
		{"an argument", "g", "unknown command"},
	} {
		got := gostore(append([]string{"inspect", "--db", db}, strings.Fields(test.arguments)...)...)
		assert.Equal(t, misused, got.code, test.name)
		assert.Contains(t, got.stderr, test.says, test.name)
		assert.Empty(t, got.stdout, test.name)
	}
	assert.Equal(t, misused, gostore("inspect").code)
	missing := db + ".missing"
	got := gostore("inspect", "--db", missing)
	assert.Equal(t, failed, got.code)
	assert.Contains(t, got.stderr, "does not exist")
	assert.NoFileExists(t, missing)
}

func TestInspect_AnAddressThatIsTaken(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	require.Zero(t, gostore("set", "--db", db, "g", "k", "v").code)
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	got := gostore("inspect", "--db", db, "--addr", taken.Addr().String())
	assert.Equal(t, failed, got.code)
	assert.Contains(t, got.stderr, "--addr "+taken.Addr().String())
}

// TestInspect_OtherMachines: with a token it answers any caller that has it, by whatever name.
func TestInspect_OtherMachines(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	require.Zero(t, gostore("set", "--db", db, "g", "k", "v").code)
	i := startInspect(t, "--db", db, "--addr", "0.0.0.0:0", "--token", "secret")
	_, port, err := net.SplitHostPort(i.page.Host)
	require.NoError(t, err)
	name, err := os.Hostname()
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+"/v1/g/k", nil)
	require.NoError(t, err)
	request.Host = name + ":" + port
	for token, want := range map[string]int{"": http.StatusUnauthorized, "wrong": http.StatusUnauthorized, "secret": http.StatusOK} {
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := i.client.Do(request)
		require.NoError(t, err)
		_ = response.Body.Close()
		assert.Equal(t, want, response.StatusCode, token)
	}
	assert.Equal(t, outcome{}, i.stop())
}
