package sqlite

import (
	"errors"
	"fmt"
	"reflect"

	"forge.lthn.ai/core/go-store/internal/storage/cabi"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// A file may come from a stranger. SQLite says what to do before one is read
// (https://www.sqlite.org/security.html), and every connection to a file does it, by
// harden and by distrust: what a schema could have run is switched off, damage in a
// page is an error rather than garbage, and what a statement may ask for is bounded.
// What the schema holds is looked at besides (checkOurSchema).
// See docs/adr/0046-files-from-strangers.md.

// distrust are the settings that a connection to a file begins with.
var distrust = []string{
	// The schema gets no functions to call but those that can do no harm.
	"PRAGMA trusted_schema = OFF",
	// Cells are checked as a page is read: damage is an error, not garbage.
	"PRAGMA cell_size_check = ON",
	// Reading through memory that the file backs makes an I/O error a signal that ends
	// the process, and shows what others change while it is looked at.
	"PRAGMA mmap_size = 0",
	// Cascades of other tables are not ours to run.
	"PRAGMA foreign_keys = OFF",
}

// limits bound what a statement, or a schema that is parsed, may ask for. Those of
// SQLite's advice where users may rightly have more in tables of their own are wider.
var limits = []struct {
	limit sqlite.Limit
	value int32
}{
	{sqlite.LimitSQLLength, 1 << 20},
	{sqlite.LimitExprDepth, 200},
	{sqlite.LimitCompoundSelect, 100},
	{sqlite.LimitVDBEOp, 25_000},
	{sqlite.LimitFunctionArg, 100},
	{sqlite.LimitAttached, 1}, // VACUUM INTO attaches what it writes
	{sqlite.LimitLikePatternLength, 1_000},
	{sqlite.LimitVariableNumber, 100},
	{sqlite.LimitTriggerDepth, 10},
	{sqlite.LimitWorkerThreads, 0},
}

const (
	// stillLength bounds a value, and what a function may make, where a file is only
	// looked at. An open store can't do with less than SQLite's own gigabyte: a row of
	// the log may have that.
	stillLength = 1 << 20
	// lookSteps bounds a statement of an opening, in steps of SQLite's machine (some
	// ten million a second): none of them has to do with more than the schema and the
	// ends of an index. Pages that lead to each other in a circle, or a thousand times
	// to one page, are a table without an end.
	lookSteps = 1_000_000
)

// harden makes sure that a connection runs nothing of what a file's schema holds.
func harden(conn *sqlite.Conn) error {
	for _, l := range limits {
		conn.Limit(l.limit, l.value)
	}
	for _, s := range []struct{ option, value int32 }{
		{lib.SQLITE_DBCONFIG_DEFENSIVE, 1},
		{lib.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
		{lib.SQLITE_DBCONFIG_ENABLE_VIEW, 0},
	} {
		if err := configure(conn, s.option, s.value); err != nil {
			return err
		}
	}
	return nil
}

// defensive switches SQLite's defences of its own tables off for those few statements
// that have to work on them.
func defensive(conn *sqlite.Conn, on bool) error {
	value := int32(0)
	if on {
		value = 1
	}
	return configure(conn, lib.SQLITE_DBCONFIG_DEFENSIVE, value)
}

// configure is sqlite3_db_config. The library's own call (SetDefensive of v1.4.2)
// hands SQLite one argument where it reads two, and writes the setting to where the
// second one points: whatever stood in that memory before.
func configure(conn *sqlite.Conn, option, value int32) error {
	handle, err := handleOf(conn)
	if err != nil {
		return err
	}
	tls := libc.NewTLS()
	defer tls.Close()
	const slots = 2 // of eight bytes
	arguments := libc.Xmalloc(tls, 8*slots)
	if arguments == 0 {
		return errors.New("no memory outside the Go heap")
	}
	defer libc.Xfree(tls, arguments)
	// The second argument is where the new value would go: nowhere.
	if result := sqlite.ResultCode(lib.Xsqlite3_db_config(tls, handle, option, libc.VaList(arguments, value, uintptr(0)))); !result.IsSuccess() {
		return fmt.Errorf("option %d of the connection: %w", option, result.ToError())
	}
	return nil
}

// handleOf is SQLite's own handle of a connection, which the library keeps to itself.
// It is only read; a test pins the name of the field.
func handleOf(conn *sqlite.Conn) (uintptr, error) {
	field := reflect.ValueOf(conn).Elem().FieldByName("conn")
	if field.Kind() != reflect.Uintptr || field.Uint() == 0 {
		return 0, errors.New("the SQLite library's connections are not as they were: its handle was not found")
	}
	return uintptr(field.Uint()), nil
}

// A statement can take no more steps than the file has rows, and each row takes some
// bytes, unless pages lead to each other in a circle or a thousand times to one page:
// such a table has no end. So what a statement may take is bounded by the file's size,
// far above what any statement of ours needs.
const (
	effortUnit    = 5_000_000 // steps between two looks: some tenths of a second
	effortPerByte = 64
)

// leastEffort is what a statement may do whatever the size of the files. Only tests change it.
var leastEffort int64 = 20_000_000

// effort bounds what a connection's statements take. Only the goroutine that uses the
// connection uses it. It must be kept as long as the connection is open: SQLite calls
// it, which the collector can't know.
type effort struct {
	spent    int64 // steps of statements since begin, as far as they came to a look (a prepared one's add up over its runs)
	allowed  func() int64
	function func(*libc.TLS, uintptr) int32 // SQLite's, which must not be collected
}

// begin starts anew with nothing spent.
func (e *effort) begin() {
	if e != nil {
		e.spent = 0
	}
}

// boundEffort bounds the statements of a connection by the size of its files.
func boundEffort(conn *sqlite.Conn, path string) (*effort, error) {
	e := &effort{allowed: func() int64 {
		return leastEffort + effortPerByte*(ownership.Size(path)+ownership.Size(path+ownership.WALSuffix))
	}}
	e.function = func(*libc.TLS, uintptr) int32 {
		if e.spent += effortUnit; e.spent > e.allowed() {
			return 1
		}
		return 0
	}
	return e, setProgress(conn, effortUnit, cabi.Pointer(e.function))
}

// endsAtOnce has a statement end at the first look.
var endsAtOnce = func(*libc.TLS, uintptr) int32 { return 1 }

// boundSteps has every statement of a connection end with an error after so many
// steps.
func boundSteps(conn *sqlite.Conn, steps int32) error {
	return setProgress(conn, steps, cabi.Pointer(endsAtOnce))
}

func setProgress(conn *sqlite.Conn, steps int32, function uintptr) error {
	handle, err := handleOf(conn)
	if err != nil {
		return err
	}
	tls := libc.NewTLS()
	defer tls.Close()
	lib.Xsqlite3_progress_handler(tls, handle, steps, function, 0)
	return nil
}

// withoutEnd names the reason why a statement of an opening was ended.
func withoutEnd(path string, err error) error {
	if !isInterrupt(err) {
		return err
	}
	return fmt.Errorf("%s is damaged, or was made to be: a table or an index of it has no end. "+
		"Restore a backup, or see what 'gostore salvage' can read: %w: %w", path, kv.DamagedError, err)
}
