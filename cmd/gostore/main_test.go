package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // writes databases as older programs did

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// asProgram in the environment has the test binary be the program.
const asProgram = "GOSTORE_TEST_AS_PROGRAM"

// TestMain is the program itself when a test starts it so, or as 'gostore
// stress' starts itself again.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "stress" && os.Args[2] == serveName || os.Getenv(asProgram) != "" {
		main()
	}
	if path := os.Getenv(asOwner); path != "" {
		if err := own(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	testkit.InMemory()
	goleak.VerifyTestMain(m)
}

// outcome is what a command line came to.
type outcome struct {
	code           int
	stdout, stderr string
}

// gostore runs a command line with nothing on standard input.
func gostore(arguments ...string) outcome {
	return gostoreReading(context.Background(), strings.NewReader(""), arguments...)
}

func gostoreReading(ctx context.Context, stdin io.Reader, arguments ...string) outcome {
	var stdout, stderr bytes.Buffer
	code := run(ctx, arguments, stdin, &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

// printed is the outcome of a command that went well.
func printed(stdout string) outcome { return outcome{stdout: stdout} }

func TestRun_SetGetCountDelete(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	assert.Equal(t, printed(""), gostore("set", "--db", db, "config", "theme", "dark\nblue"))
	assert.Equal(t, printed(""), gostore("--db", db, "set", "--", "config", "lowest", "-40"))
	assert.Equal(t, printed("dark\nblue\n"), gostore("get", "--db", db, "config", "theme"))
	assert.Equal(t, printed("-40\n"), gostore("get", "--db", db, "config", "lowest"))
	assert.Equal(t, printed("2\n"), gostore("count", "--db", db, "config"))
	assert.Equal(t, printed("0\n"), gostore("count", "--db", db, "nothing"))
	assert.Equal(t, printed(""), gostore("delete", "--db", db, "config", "theme"))
	assert.Equal(t, printed(""), gostore("delete", "--db", db, "config", "theme"), "deleting twice is no failure")
	assert.Equal(t, printed("1\n"), gostore("count", "--db", db, "config"))
	assert.Equal(t, outcome{failed, "", "gostore: no key \"theme\" in group \"config\", or it has expired\n"},
		gostore("get", "--db", db, "config", "theme"))
}

func TestRun_SetWithTTL(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	require.Equal(t, printed(""), gostore("set", "--db", db, "--ttl", "1h", "session", "long", "v"))
	require.Equal(t, printed(""), gostore("set", "--db", db, "--ttl", "1ns", "session", "short", "v"))
	assert.Equal(t, printed("v\n"), gostore("get", "--db", db, "session", "long"))
	assert.Equal(t, failed, gostore("get", "--db", db, "session", "short").code)
	assert.Equal(t, printed("1\n"), gostore("count", "--db", db, "session"))
}

func TestRun_EmptyNamesAreNames(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	require.Equal(t, printed(""), gostore("set", "--db", db, "", "", ""))
	assert.Equal(t, printed("\n"), gostore("get", "--db", db, "", ""))
}

func TestRun_AMissingDatabaseStaysMissing(t *testing.T) {
	db := filepath.Join(t.TempDir(), "missing.db")
	for _, command := range [][]string{{"get", "g", "k"}, {"count", "g"}, {"delete", "g", "k"}, {"delete", "--group", "g"}, {"delete", "--prefix", "", "--all"},
		{"ttl", "g", "k"}, {"touch", "g", "k", "1s"}, {"touch", "--persist", "g", "k"}, {"cas", "--present", "g", "k", "v"}} {
		got := gostore(append(command, "--db", db)...)
		assert.Equal(t, outcome{failed, "", "gostore: " + db + " does not exist; 'gostore import' and 'gostore set' create a database\n"}, got, command[0])
	}
	assert.NoFileExists(t, db)
}

func TestRun_BesideAnOwner(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	require.Zero(t, gostore("set", "--db", db, "g", "k", "v").code)
	owner, err := api.New(db)
	require.NoError(t, err)
	defer func() { require.NoError(t, owner.Close()) }()

	assert.Equal(t, printed("v\n"), gostore("get", "--db", db, "g", "k"))
	assert.Equal(t, printed("1\n"), gostore("count", "--db", db, "g"))
	for _, command := range [][]string{{"set", "g", "k", "w"}, {"delete", "g", "k"}, {"delete", "--group", "g"}, {"touch", "g", "k", "1h"},
		{"increment", "g", "n"}, {"cas", "--present", "g", "k", "w"}} {
		got := gostore(append(command, "--db", db)...)
		assert.Equal(t, failed, got.code, command[0])
		assert.Contains(t, got.stderr, "is in use by process")
		assert.Contains(t, got.stderr, "wait until it closes the database")
		assert.NotContains(t, got.stderr, "WithReadOnly", "that is no option of a command line")
	}
}

func TestRun_AFileThatIsNoDatabase(t *testing.T) {
	db := filepath.Join(t.TempDir(), "notes.txt")
	notes := []byte(strings.Repeat("nothing but notes\n", 1000))
	require.NoError(t, os.WriteFile(db, notes, 0o600))
	for _, command := range [][]string{{"get", "g", "k"}, {"count", "g"}, {"delete", "g", "k"}, {"set", "g", "k", "v"}} {
		got := gostore(append(command, "--db", db)...)
		assert.Equal(t, failed, got.code, command[0])
		assert.Contains(t, got.stderr, "not a go-store database")
	}
	after, err := os.ReadFile(db)
	require.NoError(t, err)
	assert.Equal(t, notes, after)
}

// sqliteFile is a database that another program has written.
func sqliteFile(t *testing.T, statements string) (db string) {
	t.Helper()
	db = filepath.Join(t.TempDir(), "old.db")
	other, err := sql.Open("sqlite", db)
	require.NoError(t, err)
	_, err = other.Exec(statements)
	require.NoError(t, err)
	require.NoError(t, other.Close())
	return db
}

func ofAnOlderLayout(t *testing.T) (db string) {
	t.Helper()
	return sqliteFile(t, `CREATE TABLE kv (grp TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (grp, key));
		INSERT INTO kv VALUES ('config', 'theme', 'dark')`)
}

func foreignDatabase(t *testing.T) (db string) {
	t.Helper()
	return sqliteFile(t, `CREATE TABLE auth_user (id)`)
}

// A command that only reads never writes: not even to bring a database up to date.
func TestRun_ReadsNoDatabaseOfAnOlderLayout(t *testing.T) {
	db := ofAnOlderLayout(t)
	before, err := os.ReadFile(db)
	require.NoError(t, err)
	for _, command := range [][]string{{"get", "config", "theme"}, {"count", "config"}, {"export"}} {
		got := gostore(append(command, "--db", db)...)
		assert.Equal(t, failed, got.code)
		assert.Contains(t, got.stderr, "is of an older layout")
	}
	after, err := os.ReadFile(db)
	require.NoError(t, err)
	assert.Equal(t, before, after)
	assert.Equal(t, printed(""), gostore("set", "--db", db, "config", "size", "12"))
	assert.Equal(t, printed("dark\n"), gostore("get", "--db", db, "config", "theme"))
}

func TestRun_Misuse(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	columns := []string{"import", "--db", db, "--group", "g", "--key-column", "1", "--value-column", "2"}
	for name, test := range map[string]struct {
		arguments []string
		want      string
	}{
		"no command":             {nil, "name a command; see 'gostore --help'"},
		"unknown command":        {[]string{"gte"}, `unknown command "gte" for "gostore" Did you mean this? get ttl; see 'gostore --help'`},
		"unknown flag":           {[]string{"get", "--bd", db, "g", "k"}, "unknown flag: --bd; see 'gostore get --help'"},
		"a value with a dash":    {[]string{"set", "--db", db, "g", "k", "-40"}, "unknown shorthand flag: '4' in -40; see 'gostore set --help'"},
		"no database":            {[]string{"get", "g", "k"}, "name the database with --db PATH; see 'gostore get --help'"},
		"a database in memory":   {[]string{"set", "--db", ":memory:", "g", "k", "v"}, "--db :memory: would be gone when the command ends; name a file; see 'gostore set --help'"},
		"too few arguments":      {[]string{"get", "--db", db, "g"}, "needs exactly GROUP KEY, got 1 argument(s); see 'gostore get --help'"},
		"too many arguments":     {[]string{"count", "--db", db, "g", "h"}, "needs exactly GROUP, got 2 argument(s); see 'gostore count --help'"},
		"no time to live":        {[]string{"set", "--db", db, "--ttl", "-1s", "g", "k", "v"}, "--ttl -1s: the key would have expired already; use 'gostore delete' to remove it; see 'gostore set --help'"},
		"no duration":            {[]string{"set", "--db", db, "--ttl", "soon", "g", "k", "v"}, `invalid argument "soon" for "--ttl" flag: time: invalid duration "soon"; see 'gostore set --help'`},
		"import: no group":       {[]string{"import", "--db", db, "--key-column", "1", "--value-rest"}, "give either --group NAME or --group-column N; see 'gostore import --help'"},
		"import: two groups":     {append(columns, "--group-column", "3"), "give either --group NAME or --group-column N; see 'gostore import --help'"},
		"import: no key":         {[]string{"import", "--db", db, "--group", "g", "--value-rest"}, "give --key-column N; see 'gostore import --help'"},
		"import: no value":       {[]string{"import", "--db", db, "--group", "g", "--key-column", "1"}, "give either --value-column N or --value-rest; see 'gostore import --help'"},
		"import: two values":     {append(columns, "--value-rest"), "give either --value-column N or --value-rest; see 'gostore import --help'"},
		"import: column 0":       {append(columns, "--key-column", "0"), "--key-column 0: columns count from 1; see 'gostore import --help'"},
		"import: format":         {append(columns, "--format", "json"), `--format "json": use jsonl, tsv or csv; see 'gostore import --help'`},
		"import: delimiters":     {append(columns, "--delimiter", ";;"), `--delimiter ";;": use one character; see 'gostore import --help'`},
		"import: no delimiter":   {append(columns, "--delimiter", ""), `--delimiter "": use one character; see 'gostore import --help'`},
		"import: line end":       {append(columns, "--delimiter", "\n"), "the delimiter can't be a line end; see 'gostore import --help'"},
		"import: quote":          {append(columns, "--format", "csv", "--delimiter", `"`), "the delimiter can't be the quote of CSV; see 'gostore import --help'"},
		"import: two files":      {append(columns, "a", "b"), "needs one FILE at most, got 2; see 'gostore import --help'"},
		"watch: nothing":         {[]string{"watch", "--db", db}, "needs GROUP, or GROUP KEY, got 0 argument(s); see 'gostore watch --help'"},
		"watch: from and state":  {[]string{"watch", "--db", db, "--from", "3", "--state", "g"}, "give --from REV or --state, not both; see 'gostore watch --help'"},
		"watch: from 0":          {[]string{"watch", "--db", db, "--from", "0", "g"}, "--from 0: revisions count from 1; see 'gostore watch --help'"},
		"watch: from before":     {[]string{"watch", "--db", db, "--from", "-1", "g"}, `invalid argument "-1" for "--from" flag: strconv.ParseUint: parsing "-1": invalid syntax; see 'gostore watch --help'`},
		"history: a group":       {[]string{"history", "--db", db, "g"}, "needs exactly GROUP KEY, got 1 argument(s); see 'gostore history --help'"},
		"import: no expiry":      {append(columns, "--expires-column", "0"), "--expires-column 0: columns count from 1; see 'gostore import --help'"},
		"import: an export":      {append(columns, "--format", "jsonl"), "--group is of tables, not of --format jsonl; see 'gostore import --help'"},
		"import: bare csv":       {[]string{"import", "--db", db, "a.csv"}, "give either --group NAME or --group-column N; see 'gostore import --help'"},
		"export: two parts":      {[]string{"export", "--db", db, "--group", "g", "--prefix", "p"}, "give either --group NAME or --prefix TEXT; see 'gostore export --help'"},
		"export: format":         {[]string{"export", "--db", db, "--format", "xml"}, `--format "xml": use jsonl, csv or tsv; see 'gostore export --help'`},
		"export: no output":      {[]string{"export", "--db", db, "-o", ""}, "--output needs the name of a file; see 'gostore export --help'"},
		"export: an argument":    {[]string{"export", "--db", db, "x"}, `unknown command "x" for "gostore export"; see 'gostore export --help'`},
		"list: no group":         {[]string{"list", "--db", db}, "needs exactly GROUP, got 0 argument(s); see 'gostore list --help'"},
		"list: limit":            {[]string{"list", "--db", db, "--limit", "-1", "g"}, "--limit -1: use at least 1, or leave it out; see 'gostore list --help'"},
		"list: no limit":         {[]string{"list", "--db", db, "--limit", "0", "g"}, "--limit 0: use at least 1, or leave it out; see 'gostore list --help'"},
		"list: two begins":       {[]string{"list", "--db", db, "--after", "a", "--after64", "YQ==", "g"}, "give either --after or --after64; see 'gostore list --help'"},
		"list: base64":           {[]string{"list", "--db", db, "--after64", "?", "g"}, `--after64 "?": that is not base64; see 'gostore list --help'`},
		"list: two forms":        {[]string{"list", "--db", db, "--keys", "--json", "g"}, "give either --keys or --json; see 'gostore list --help'"},
		"groups: two prefixes":   {[]string{"groups", "--db", db, "a", "b"}, "needs one PREFIX at most, got 2 arguments; see 'gostore groups --help'"},
		"groups: limit":          {[]string{"groups", "--db", db, "--limit", "-5"}, "--limit -5: use at least 1, or leave it out; see 'gostore groups --help'"},
		"demo: an argument":      {[]string{"demo", "10s"}, `unknown command "10s" for "gostore demo"; see 'gostore demo --help'`},
		"demo: too short":        {[]string{"demo", "--for", "10ms"}, "--for 10ms: use at least 1s; see 'gostore demo --help'"},
		"demo: in memory":        {[]string{"demo", "--db", ":memory:"}, "--db :memory: can't be reopened; name a file, or leave --db out; see 'gostore demo --help'"},
		"stress: an argument":    {[]string{"stress", "10s"}, `unknown command "10s" for "gostore stress"; see 'gostore stress --help'`},
		"stress: no time":        {[]string{"stress", "--for", "0"}, "--for 0s: use at least 100ms; see 'gostore stress --help'"},
		"stress: no callers":     {[]string{"stress", "--callers", "-1"}, "--callers -1: use 1 to 4096; see 'gostore stress --help'"},
		"stress: kill in memory": {[]string{"stress", "--kill", "--db", ":memory:"}, "--kill with --db :memory:: such a store ends with its process; name a file, or leave --db out; see 'gostore stress --help'"},
		"soak: no time":          {[]string{"soak", "--for", "0"}, "--for 0s: use at least 1s; see 'gostore soak --help'"},
		"soak: no callers":       {[]string{"soak", "--callers", "0"}, "--callers 0: use 1 to 4096; see 'gostore soak --help'"},
		"soak: a rate":           {[]string{"soak", "--rate", "-1"}, "--rate -1: use a positive number, or 0 for as many as there can be; see 'gostore soak --help'"},
		"soak: every":            {[]string{"soak", "--every", "1h"}, "--every 1h0m0s: use 10ms to a tenth of the time; see 'gostore soak --help'"},
		"soak: in memory":        {[]string{"soak", "--db", ":memory:"}, "--db :memory:: such a store has no files to watch; name a file, or leave --db out; see 'gostore soak --help'"},
		"increment: a key":       {[]string{"increment", "--db", db, "g"}, "needs exactly GROUP KEY, or GROUP KEY DELTA, got 1 argument(s); see 'gostore increment --help'"},
		"increment: no number":   {[]string{"increment", "--db", db, "g", "k", "1.5"}, `DELTA "1.5": use a decimal integer of 64 bits; see 'gostore increment --help'`},
		"touch: no time":         {[]string{"touch", "--db", db, "g", "k"}, "needs exactly GROUP KEY DURATION, or --persist GROUP KEY, got 2 argument(s); see 'gostore touch --help'"},
		"touch: both":            {[]string{"touch", "--db", db, "--persist", "g", "k", "1h"}, "needs exactly GROUP KEY with --persist, got 3 argument(s); see 'gostore touch --help'"},
		"touch: no duration":     {[]string{"touch", "--db", db, "g", "k", "90"}, `DURATION "90": that is none, use 90s or 12h; see 'gostore touch --help'`},
		"touch: past":            {[]string{"touch", "--db", db, "--", "g", "k", "-1s"}, "-1s: the key would have expired already; use 'gostore delete' to remove it; see 'gostore touch --help'"},
		"ttl: a group":           {[]string{"ttl", "--db", db, "g"}, "needs exactly GROUP KEY, got 1 argument(s); see 'gostore ttl --help'"},
		"cas: no condition":      {[]string{"cas", "--db", db, "g", "k", "v"}, "give one of --revision N, --absent and --present; see 'gostore cas --help'"},
		"cas: two conditions":    {[]string{"cas", "--db", db, "--absent", "--revision", "3", "g", "k", "v"}, "give one of --revision N, --absent and --present; see 'gostore cas --help'"},
		"cas: no value":          {[]string{"cas", "--db", db, "--absent", "g", "k"}, "needs exactly GROUP KEY VALUE, got 2 argument(s); see 'gostore cas --help'"},
		"cas: revision 0":        {[]string{"cas", "--db", db, "--revision", "0", "g", "k", "v"}, "--revision 0: revisions count from 1; of a key that isn't there say --absent; see 'gostore cas --help'"},
		"cas: any revision":      {[]string{"cas", "--db", db, "--revision", "18446744073709551615", "g", "k", "v"}, "--revision 18446744073709551615: no key has it; of any say --present; see 'gostore cas --help'"},
		"cas: delete a value":    {[]string{"cas", "--db", db, "--delete", "--present", "g", "k", "v"}, "needs exactly GROUP KEY, got 3 argument(s); see 'gostore cas --help'"},
		"cas: delete absent":     {[]string{"cas", "--db", db, "--delete", "--absent", "g", "k"}, "--delete of a key that is --absent would do nothing; see 'gostore cas --help'"},
		"cas: delete with ttl":   {[]string{"cas", "--db", db, "--delete", "--present", "--ttl", "1s", "g", "k"}, "--ttl is of a key that is written, not of --delete; see 'gostore cas --help'"},
		"cas: no time to live":   {[]string{"cas", "--db", db, "--present", "--ttl", "0", "g", "k", "v"}, "--ttl 0s: the key would have expired already; use 'gostore delete' to remove it; see 'gostore cas --help'"},
		"delete: everything":     {[]string{"delete", "--db", db, "--prefix", ""}, `--prefix "" deletes every group: confirm it with --all; see 'gostore delete --help'`},
		"delete: all of a group": {[]string{"delete", "--db", db, "--group", "g", "--all"}, `--all confirms --prefix "" and nothing else; see 'gostore delete --help'`},
		"delete: group and key":  {[]string{"delete", "--db", db, "--group", "g", "k"}, "give GROUP KEY, or --group or --prefix without them; see 'gostore delete --help'"},
		"version: an argument":   {[]string{"version", "x"}, `unknown command "x" for "gostore version"; see 'gostore version --help'`},
		"wait: negative":         {[]string{"get", "--db", db, "--wait", "-5s", "g", "k"}, "--wait -5s: use 0 or more; see 'gostore get --help'"},
		"help of nothing known":  {[]string{"--nothing"}, "unknown flag: --nothing; see 'gostore --help'"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, outcome{misused, "", "gostore: " + test.want + "\n"}, gostore(test.arguments...))
			assert.NoFileExists(t, db)
		})
	}
}

func TestRun_Help(t *testing.T) {
	for _, arguments := range [][]string{{"--help"}, {"help", "import"}, {"demo", "--help"}} {
		got := gostore(arguments...)
		assert.Zero(t, got.code)
		assert.Contains(t, got.stdout, "Usage:")
		assert.Empty(t, got.stderr)
	}
}

// deafWriter is an output that is full or gone.
type deafWriter struct{}

func (deafWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestRun_OutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	require.Zero(t, gostore("set", "--db", db, "g", "k", "v").code)
	for _, arguments := range [][]string{
		{"get", "--db", db, "g", "k"},
		{"count", "--db", db, "g"},
		{"import", "--db", db, "--group", "g", "--key-column", "1", "--value-rest"},
	} {
		var stderr bytes.Buffer
		code := run(context.Background(), arguments, strings.NewReader(""), deafWriter{}, &stderr)
		assert.Equal(t, failed, code, arguments[0])
		assert.Equal(t, "gostore: io: read/write on closed pipe\n", stderr.String())
	}
}
