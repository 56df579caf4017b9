-- Which WAL belongs to this database: see the package's stamp.
ALTER TABLE store_meta ADD COLUMN stamp BLOB;
