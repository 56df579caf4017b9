package sqlite

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// What a schema holds beside our tables is of no concern, as long as none of it
// runs in our statements: tables, views, indexes and triggers on them. On our own
// tables only that is accepted which runs nothing, refuses nothing and changes
// nothing: the columns as they are, further ones that may stay empty or have a
// default, and plain indexes. Everything else is refused by its name before a
// statement runs in which it could take part. The rule says what may be there, and
// not what may not: what SQLite learns tomorrow is refused too.

// entry is a row of a database's schema with what it says.
type entry struct {
	object
	root int64
	sql  string // of what belongs to a table of ours
}

const (
	// mostObjects is how many rows of a schema are read. It takes milliseconds.
	mostObjects = 20_000
	// ourSQL is the longest text that a table or an index of ours may be made by.
	ourSQL = 64 << 10
)

// ours are the tables that statements of ours name, and their columns that have to be
// of a type, or of none.
var ours = map[string]map[string]string{
	"entries":    {"group_name": "TEXT", "entry_key": "TEXT", "entry_value": "TEXT", "expires_at": "INTEGER", "revision": "INTEGER"},
	"kv":         {"grp": "TEXT", "key": "TEXT", "value": "TEXT", "expires_at": "INTEGER"},
	"log":        {},
	"store_meta": {},
}

// ourKeys are the columns that make a key of a table of ours.
var ourKeys = map[string][]string{"entries": {"group_name", "entry_key"}, "kv": {"grp", "key"}}

// ourOwn are the columns of the tables that no program but this one has ever made, as they may
// stand there.
var ourOwn = map[string][]string{
	"log": {"last_revision INTEGER PRIMARY KEY", "first_revision INTEGER NOT NULL", "committed_at INTEGER NOT NULL",
		"log_end INTEGER NOT NULL", "record BLOB NOT NULL"},
	"store_meta": {"id INTEGER PRIMARY KEY CHECK ( id = 1 )", "uuid TEXT NOT NULL",
		"base_revision INTEGER NOT NULL DEFAULT 0", "stamp BLOB", "folded_revision INTEGER"},
}

// checkOurSchema refuses a schema of which something would run in our statements, or
// two of whose tables are one. What can't be read is damage, which others tell of.
func checkOurSchema(path string, conn *sqlite.Conn) error {
	entries, err := readEntries(conn)
	if isInterrupt(err) {
		return withoutEnd(path, err)
	}
	if err != nil {
		return nil // damage is for reads through the WAL to tell
	}
	if len(entries) > mostObjects {
		return fmt.Errorf("%s has more than %d tables, views and indexes, which are not looked through: %w", path, mostObjects, kv.ForeignSchemaError)
	}
	roots := map[int64]string{1: "the schema"}
	legacy := slices.ContainsFunc(entries, entry.isLegacy)
	for _, e := range entries {
		if err := e.check(); err != nil && (legacy || !e.ofKV()) {
			return foreignSchema(path, err)
		}
		if e.kind != "table" && e.kind != "index" || e.root == 0 {
			continue
		}
		if other, taken := roots[e.root]; taken {
			return fmt.Errorf("%s: %s and %v share page %d: restore a backup, or see what 'gostore salvage' can read: %w",
				path, other, e.object, e.root, kv.DamagedError)
		}
		roots[e.root] = e.String()
	}
	return nil
}

// checkNames refuses a schema that takes the name of what statements of ours read
// before anything is known of the file.
func checkNames(path string, conn *sqlite.Conn) error {
	entries, err := readEntries(conn)
	if isInterrupt(err) {
		return withoutEnd(path, err)
	}
	for _, e := range entries {
		if e.internal() {
			if err := e.checkInternal(); err != nil {
				return foreignSchema(path, err)
			}
		}
	}
	return nil
}

func foreignSchema(path string, err error) error {
	return fmt.Errorf("%s: %w; have another program take it out while the store is closed, "+
		"or take with 'gostore salvage' what is there into a new store: %w", path, err, kv.ForeignSchemaError)
}

func readEntries(conn *sqlite.Conn) (entries []entry, err error) {
	// The table has two names, of which a file can take one for something of its own.
	err = sqlitex.ExecuteTransient(conn, `SELECT type, name, tbl_name, rootpage, CASE WHEN octet_length(sql) <= ?1 THEN sql ELSE '' END
		FROM sqlite_master LIMIT ?2`, &sqlitex.ExecOptions{Args: []any{ourSQL, mostObjects + 1},
		ResultFunc: func(stmt *sqlite.Stmt) error {
			e := entry{object: object{stmt.ColumnText(0), stmt.ColumnText(1), stmt.ColumnText(2)}, root: stmt.ColumnInt64(3)}
			if e.ofOurs() {
				e.sql = stmt.ColumnText(4)
			}
			entries = append(entries, e)
			return nil
		}})
	return entries, err
}

// ofOurs reports whether the row is a table of ours or belongs to one.
func (e *entry) ofOurs() bool {
	return ours[strings.ToLower(e.table)] != nil || ours[strings.ToLower(e.name)] != nil
}

// ofKV reports whether the row is a table kv, or belongs to one, that may be another
// program's: no statement of ours but the look at its columns meets it then.
func (e entry) ofKV() bool { return !e.internal() && strings.EqualFold(e.table, "kv") }

// isLegacy reports whether the row is a table kv that has the original's columns, however
// they are made.
func (e entry) isLegacy() bool {
	if e.kind != "table" || !e.ofKV() {
		return false
	}
	var words []string
	for _, t := range tokens(e.sql) {
		words = append(words, strings.ToLower(t.text))
	}
	return containsAll(words, legacyColumns["kv"][0]...)
}

// check says what is wrong with a row.
func (e *entry) check() error {
	lower := strings.ToLower(e.name)
	switch {
	case e.internal():
		return e.checkInternal()
	case e.ofOurs() && !(&cursor{tokens(e.sql)}).take("CREATE"):
		return nil // damage: SQLite refuses it
	case strings.HasPrefix(lower, "pragma_"):
		return fmt.Errorf("it has a %v, under the name of a function that statements of ours call", e.object)
	case !e.ofOurs() || e.kind == "trigger": // see checkTriggers
		return nil
	case e.kind == "view":
		return nil // see checkOurs: it has no table then
	case e.kind == "table":
		return e.checkTable(lower)
	case e.kind == "index" && ours[strings.ToLower(e.table)] != nil:
		return e.index()
	}
	return nil // what has our name and is none of these leaves us without a table
}

// checkInternal refuses what goes by a name that SQLite keeps for itself, and which it
// would not have given: statements of its own and of ours would read it.
func (e *entry) checkInternal() error {
	lower := strings.ToLower(e.name)
	switch {
	case e.kind == "index" && strings.HasPrefix(lower, "sqlite_autoindex_"):
		return nil
	case e.kind == "table" && slices.Contains([]string{"sqlite_sequence", "sqlite_stat1", "sqlite_stat2", "sqlite_stat3", "sqlite_stat4"}, lower):
		return nil
	}
	return fmt.Errorf("it has a %v, under a name that SQLite keeps for itself", e.object)
}

// checkTable checks how a table of ours was made.
func (e *entry) checkTable(name string) error {
	c := &cursor{tokens(e.sql)}
	if !c.take("CREATE", "TABLE") {
		return fmt.Errorf("table %s is no plain table (%s)", e.name, c.describe())
	}
	if _, ok := c.name(); !ok || !c.take("(") {
		return fmt.Errorf("table %s is no plain table (%s)", e.name, c.describe())
	}
	for {
		var err error
		if columns := ourOwn[name]; columns != nil {
			err = c.known(columns)
		} else {
			err = c.item(name)
		}
		if err != nil {
			return fmt.Errorf("table %s %w", e.name, err)
		}
		if c.take(",") {
			continue
		}
		break
	}
	if !c.take(")") {
		return fmt.Errorf("table %s has %s", e.name, c.describe())
	}
	for ourOwn[name] == nil && (c.take("WITHOUT", "ROWID") || c.take("STRICT")) {
		c.take(",")
	}
	if len(c.rest) > 0 {
		return fmt.Errorf("table %s has %s", e.name, c.describe())
	}
	return nil
}

// known takes one of the columns that a table of our own making has.
func (c *cursor) known(columns []string) error {
	for _, column := range columns {
		words := strings.Fields(column)
		if name := words[0]; len(c.rest) > 0 && strings.EqualFold(c.rest[0].text, name) {
			before := c.rest
			c.rest = c.rest[1:]
			if c.take(words[1:]...) && len(c.rest) > 0 && (c.rest[0].is(",") || c.rest[0].is(")")) {
				return nil
			}
			c.rest = before
			break
		}
	}
	return fmt.Errorf("has a column that is not go-store's: %s", c.describe())
}

// item takes a column, or a rule of a table's.
func (c *cursor) item(table string) error {
	if c.take("CONSTRAINT") {
		c.name()
	}
	if c.take("PRIMARY", "KEY") || c.take("UNIQUE") {
		columns, ok := c.names()
		if !ok || !slices.Equal(columns, ourKeys[table]) {
			return fmt.Errorf("has a UNIQUE or PRIMARY KEY that is not its key's (it goes on: %s)", c.describe())
		}
		return c.end()
	}
	if len(c.rest) > 0 && !c.rest[0].quoted && slices.ContainsFunc([]string{"CHECK", "FOREIGN", "PRIMARY", "UNIQUE"}, c.rest[0].is) {
		return fmt.Errorf("has the rule %s", c.describe())
	}
	name, ok := c.name()
	if !ok {
		return fmt.Errorf("has %s", c.describe())
	}
	return c.column(table, name)
}

// column takes a column's type and rules.
func (c *cursor) column(table, name string) error {
	want, known := ours[table][strings.ToLower(name)]
	if c.typed() {
		declared := c.rest[0].text
		c.rest = c.rest[1:]
		if known && !strings.EqualFold(declared, want) {
			return fmt.Errorf("has the column %s %s, which must be %s", name, declared, want)
		}
		if !known {
			c.restOfType()
		}
	}
	needed, given := false, false
	for {
		if c.take("CONSTRAINT") {
			c.name()
		}
		switch {
		case c.take("NOT", "NULL"):
			needed = true
		case c.take("NULL"):
		case c.take("DEFAULT"):
			if !c.literal() {
				return fmt.Errorf("has a DEFAULT of column %s that is computed: %s", name, c.describe())
			}
			given = true
		default:
			if needed && !given && !known {
				return fmt.Errorf("has a column %s that must be given, which no write does", name)
			}
			if err := c.end(); err != nil {
				return fmt.Errorf("with its column %s %w", name, err)
			}
			return nil
		}
	}
}

// columnRules are the words that a rule of a column begins with.
var columnRules = []string{"CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE", "REFERENCES", "GENERATED", "AS", "ON"}

// typed reports whether a type follows.
func (c *cursor) typed() bool {
	return len(c.rest) > 0 && (c.rest[0].quoted || isWordByte(c.rest[0].text[0]) && !slices.ContainsFunc(columnRules, c.rest[0].is))
}

// restOfType takes what a type may have behind its first word.
func (c *cursor) restOfType() {
	for c.typed() {
		c.rest = c.rest[1:]
	}
	if !c.take("(") {
		return
	}
	for len(c.rest) > 0 && !c.take(")") {
		c.rest = c.rest[1:]
	}
}

// literal takes a value that is computed from nothing.
func (c *cursor) literal() bool {
	if !c.take("+") {
		c.take("-")
	}
	if len(c.rest) == 0 || !c.rest[0].quoted && !isWordByte(c.rest[0].text[0]) {
		return false
	}
	c.rest = c.rest[1:]
	if c.take(".") && len(c.rest) > 0 && isWordByte(c.rest[0].text[0]) {
		c.rest = c.rest[1:]
	}
	return true
}

// end makes sure that an item ends here.
func (c *cursor) end() error {
	if len(c.rest) > 0 && (c.rest[0].is(",") || c.rest[0].is(")")) {
		return nil
	}
	return fmt.Errorf("has the rule %s", c.describe())
}

// index checks an index on a table of ours.
func (e *entry) index() error {
	c := &cursor{tokens(e.sql)}
	unique := false
	if !c.take("CREATE", "INDEX") {
		if unique = c.take("CREATE", "UNIQUE", "INDEX"); !unique {
			return fmt.Errorf("index %s is no plain index (%s)", e.name, c.describe())
		}
	}
	c.name()
	if !c.take("ON") {
		return fmt.Errorf("index %s is no plain index (%s)", e.name, c.describe())
	}
	c.name()
	columns, err := c.indexed()
	if err != nil {
		return fmt.Errorf("index %s is %w", e.name, err)
	}
	if unique && !slices.Equal(columns, ourKeys[strings.ToLower(e.table)]) {
		return fmt.Errorf("index %s is UNIQUE, and would refuse what is written", e.name)
	}
	if c.take("WHERE") {
		if _, ok := c.name(); !ok || !c.take("IS", "NULL") && !c.take("IS", "NOT", "NULL") && !c.take("NOT", "NULL") && !c.take("NOTNULL") {
			return fmt.Errorf("index %s has a condition that is computed", e.name)
		}
	}
	if len(c.rest) > 0 {
		return fmt.Errorf("index %s has %s", e.name, c.describe())
	}
	return nil
}

var errComputed = errors.New("on an expression, or by a collation that is not SQLite's own")

// indexed takes the columns of an index.
func (c *cursor) indexed() (columns []string, err error) {
	if !c.take("(") {
		return nil, errComputed
	}
	for {
		name, ok := c.name()
		if !ok {
			return nil, errComputed
		}
		columns = append(columns, strings.ToLower(name))
		if c.take("COLLATE") {
			if !c.take("BINARY") && !c.take("NOCASE") && !c.take("RTRIM") {
				return nil, errComputed
			}
			columns[len(columns)-1] += " collated"
		}
		if !c.take("ASC") {
			c.take("DESC")
		}
		switch {
		case c.take(","):
		case c.take(")"):
			return columns, nil
		default:
			return nil, errComputed
		}
	}
}
