-- The last revision up to which entries have all that the log has; NULL: they have all of
-- it. While a store is open, and after a crash, the log may be ahead of the table: what it
-- has behind this revision counts, and is moved into the table by whoever opens the file.
ALTER TABLE store_meta ADD COLUMN folded_revision INTEGER;
