package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/inspect"
)

// TestErrorsOfTheStore: each has its status; what may have been written is never said to
// be refused.
func TestErrorsOfTheStore(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{api.NotFoundError, 404, "not_found"}, {api.QuotaExceededError, 507, "quota_exceeded"}, {api.TooLargeError, 413, "too_large"},
		{api.InvalidCursorError, 400, "invalid_cursor"}, {api.InvalidDeadlineError, 400, "invalid_deadline"}, {api.ReadOnlyError, 403, "read_only"},
		{api.ClosedError, 503, "closed"}, {api.DegradedError, 503, "degraded"}, {api.FileLostError, 503, "file_lost"}, {api.RolledBackError, 503, "rolled_back"},
		{api.BusyError, 503, "busy"}, {api.TooManySnapshotsError, 503, "busy"}, {api.SnapshotExpiredError, 503, "snapshot_expired"},
		{context.DeadlineExceeded, 503, "timeout"}, {context.Canceled, 503, "cancelled"},
		{&api.RevisionMismatchError{Current: 3}, 412, "revision_mismatch"}, {errors.New("anything"), 500, "internal"},
		{api.UnknownOutcomeError, 500, "unknown_outcome"},
		{errors.Join(api.DegradedError, api.UnknownOutcomeError), 500, "unknown_outcome"},
		{errors.Join(context.Canceled, api.UnknownOutcomeError), 500, "unknown_outcome"},
	} {
		status, code := inspect.StatusOf(fmt.Errorf("store.Set: %w", c.err))
		require.Equal(t, []any{c.status, c.code}, []any{status, code}, "%v", c.err)
	}
}

// TestEveryCodeIsExplained in the documentation, and nothing is that is no code.
func TestEveryCodeIsExplained(t *testing.T) {
	codes := map[string]bool{}
	sources, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, found := range regexp.MustCompile(`code: +"([a-z_]+)"|http\.Status\w+, "([a-z_]+)"\}`).FindAllStringSubmatch(string(text), -1) {
			codes[found[1]+found[2]] = true
		}
	}
	require.Greater(t, len(codes), 20)
	text, err := os.ReadFile("../docs/INSPECTOR.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "| Status | code | |")
	require.True(t, found)
	explained := map[string]bool{}
	for line := range strings.SplitSeq(table, "\n") {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			for _, code := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[2], -1) {
				explained[code[1]] = true
			}
		}
	}
	require.Equal(t, codes, explained)
}

// TestBesideAnOwner: a handler of a read-only store shows what the owner commits, and
// writes nothing, whatever its options say.
func TestBesideAnOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	owner, err := api.New(path)
	require.NoError(t, err)
	defer owner.Close()
	require.NoError(t, owner.Set("g", "k", "v"))
	reader, err := api.New(path, api.WithReadOnly())
	require.NoError(t, err)
	defer reader.Close()
	s := serve(t, reader, inspect.WithWrites())
	for _, method := range []string{"PUT", "PATCH", "DELETE"} {
		s.problem(http.StatusForbidden, "read_only", s.do(method, "v1/g/k"+map[string]string{"PATCH": "?ttl=1"}[method], "x"))
	}
	l := s.listen("")
	l.want("open")
	require.NoError(t, owner.Set("g", "k", "w"))
	require.Equal(t, "w", l.want("set").field("value"))
	require.Equal(t, "w", s.want(http.StatusOK, s.get("v1/g/k")).body)
	for _, at := range []string{"ui/info", "ui/tree", "ui/stats", "ui/namespaces", "ui/listeners", "ui/metrics", "metrics", "vars", "ui/search?q=k", "ui/count?group=g", "ui/history/g/k", "v1/", "v1/g"} {
		s.want(http.StatusOK, s.get(at))
	}
	l.close()
}
