package engine

import "forge.lthn.ai/core/go-store/internal/storage/sqlite"

// SQLiteVersion is that of the SQLite that is built in.
const SQLiteVersion = sqlite.SQLiteVersion

// SchemaVersion is that of the layout of the files that are written.
func SchemaVersion() int { return sqlite.SchemaVersion() }
