package engine

import "forge.lthn.ai/core/go-store/internal/storage"

// SQLiteVersion is that of the SQLite that is built in.
const SQLiteVersion = storage.SQLiteVersion

// SchemaVersion is that of the layout of the files that are written.
func SchemaVersion() int { return storage.SchemaVersion() }
