package api

import "forge.lthn.ai/core/go-store/engine"

// SQLiteVersion is the version of the SQLite that is built in, such as "3.53.4".
// It is another one than that of a program sqlite3 on the same machine.
func SQLiteVersion() string { return engine.SQLiteVersion }

// SchemaVersion is the version of the layout of databases, the user_version in
// their files. New opens those of this and of lower versions, which it brings to
// this one, and refuses those of higher ones with NewerSchemaError.
func SchemaVersion() int { return engine.SchemaVersion() }
