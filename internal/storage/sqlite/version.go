package sqlite

import "zombiezen.com/go/sqlite"

// SQLiteVersion is that of the SQLite that is built in, such as "3.53.4".
const SQLiteVersion = sqlite.Version

// SchemaVersion is the user_version of the databases that are written.
func SchemaVersion() int { return schemaVersion }
