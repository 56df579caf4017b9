-- The four columns are those of every version of the original since it named
-- them; a database that already has them keeps its table. A rowid table: for
-- values over about 200 bytes it beats WITHOUT ROWID several times over.
CREATE TABLE IF NOT EXISTS entries (
	group_name  TEXT NOT NULL,
	entry_key   TEXT NOT NULL,
	entry_value TEXT NOT NULL,
	expires_at  INTEGER, -- Unix milliseconds; NULL: never
	PRIMARY KEY (group_name, entry_key)
);

-- Partial: a store without TTLs pays nothing for it.
CREATE INDEX IF NOT EXISTS entries_expires_at ON entries (expires_at)
	WHERE expires_at IS NOT NULL;

-- One row: what this database is.
CREATE TABLE IF NOT EXISTS store_meta (
	id   INTEGER PRIMARY KEY CHECK (id = 1),
	uuid TEXT NOT NULL
);
