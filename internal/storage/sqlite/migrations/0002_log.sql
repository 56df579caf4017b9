-- Rows that were there before they had revisions have the first one: they were
-- there before everything in the log.
ALTER TABLE entries ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;

-- One row a commit. The record stands last: what is read of old rows to remove
-- them lies on the row's first page then, before the pages that it spills into.
CREATE TABLE log (
	last_revision  INTEGER PRIMARY KEY,
	first_revision INTEGER NOT NULL,
	committed_at   INTEGER NOT NULL, -- Unix milliseconds
	log_end        INTEGER NOT NULL, -- bytes of all records up to this one, those removed too
	record         BLOB NOT NULL
);

-- The revision that everything not in the log has at most.
ALTER TABLE store_meta ADD COLUMN base_revision INTEGER NOT NULL DEFAULT 0;
