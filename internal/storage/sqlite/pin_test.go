package sqlite

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// A libc that is not the one which SQLite was translated for compiles, starts,
// and corrupts silently.
func TestLibcIsTheOneThatSQLiteAsksFor(t *testing.T) {
	list := func(format, module string) string {
		out, err := exec.Command("go", "list", "-m", "-f", format, module).Output()
		require.NoError(t, err)
		return strings.TrimSpace(string(out))
	}
	asked, err := os.ReadFile(list("{{.GoMod}}", "modernc.org/sqlite"))
	require.NoError(t, err)
	version := regexp.MustCompile(`modernc\.org/libc (v\S+)`).FindSubmatch(asked)
	require.NotNil(t, version)
	require.Equal(t, string(version[1]), list("{{.Version}}", "modernc.org/libc"))
}

// Up to 3.51.2 a commit beside a checkpoint can corrupt the database.
// https://sqlite.org/wal.html#walresetbug
func TestSQLiteIsFreeOfTheWALResetBug(t *testing.T) {
	require.GreaterOrEqual(t, sqlite.VersionNumber, 3_051_003)
}
