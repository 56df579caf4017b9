package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"forge.lthn.ai/core/go-store/bench"
	"forge.lthn.ai/core/go-store/bench/floor"
)

// This file is what go-store is made of without go-store: held statements on
// the same SQLite, writers that share a commit, a connection for each reader at
// work. No expiry, no events, no quotas, no cache, no answers to a caller that
// has gone: the floor that an engine on this SQLite can't be cheaper than.

func bareContender() bench.Contender {
	return bench.Contender{
		Name: "zombiezen", Durability: powerCut,
		Note: "the cost floor of this SQLite: held statements, shared commits, no engine",
		Open: openBare,
		Excuses: excuses(map[bench.Need]string{
			bench.NeedDelete: "the floor sets and reads, no more", bench.NeedGroupDelete: "the floor sets and reads, no more",
		}),
	}
}

type bareTarget struct {
	connection            *sqlite.Conn // of the caller that writes a batch
	begin, upsert, commit *sqlite.Stmt
	readers               chan *bareReader
	sharing               *floor.Sharing[bench.Item]
}

type bareReader struct {
	connection     *sqlite.Conn
	get, all, page *sqlite.Stmt
}

func openBare(folder string, _ bench.Settings) (_ bench.Target, err error) {
	path := filepath.Join(folder, "bare.db")
	t := &bareTarget{readers: make(chan *bareReader, max(runtime.GOMAXPROCS(0), 2))}
	t.sharing = floor.NewSharing(t.apply)
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	t.connection, err = openConnection(path, sqlite.OpenReadWrite|sqlite.OpenCreate,
		"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA cache_size=-65536", seedSchema)
	if err != nil {
		return nil, err
	}
	err = prepare(t.connection, map[string]**sqlite.Stmt{"BEGIN IMMEDIATE": &t.begin, seedUpsert: &t.upsert, "COMMIT": &t.commit})
	if err != nil {
		return nil, err
	}
	for range cap(t.readers) {
		r := &bareReader{}
		if r.connection, err = openConnection(path, sqlite.OpenReadWrite, "PRAGMA query_only=on", "PRAGMA cache_size=-65536"); err != nil {
			return nil, err
		}
		t.readers <- r
		err = prepare(r.connection, map[string]**sqlite.Stmt{
			`SELECT entry_value FROM entries WHERE group_name = ? AND entry_key = ?`:                                                 &r.get,
			`SELECT entry_key, entry_value FROM entries WHERE group_name = ?`:                                                        &r.all,
			`SELECT entry_key, entry_value FROM entries WHERE group_name = ? AND entry_key >= ? ORDER BY entry_key LIMIT ? OFFSET ?`: &r.page,
		})
		if err != nil {
			return nil, err
		}
	}
	return t, nil
}

func openConnection(path string, flags sqlite.OpenFlags, statements ...string) (*sqlite.Conn, error) {
	connection, err := sqlite.OpenConn(path, flags)
	if err != nil {
		return nil, err
	}
	for _, statement := range statements {
		if err := sqlitex.ExecuteTransient(connection, statement, nil); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", statement, err), connection.Close())
		}
	}
	return connection, nil
}

func prepare(connection *sqlite.Conn, statements map[string]**sqlite.Stmt) (err error) {
	for text, statement := range statements {
		if *statement, err = connection.Prepare(text); err != nil {
			return err
		}
	}
	return nil
}

func (t *bareTarget) Set(group, key, value string) error {
	return t.write(bench.Item{Group: group, Key: key, Value: value})
}

func (t *bareTarget) Load(items []bench.Item) error { return t.write(items...) }

func (t *bareTarget) write(items ...bench.Item) error {
	return t.sharing.Write(func(batch []bench.Item) []bench.Item { return append(batch, items...) })
}

func (t *bareTarget) apply(items []bench.Item) error {
	if err := step(t.begin); err != nil {
		return err
	}
	for _, item := range items {
		t.upsert.BindText(1, item.Group)
		t.upsert.BindText(2, item.Key)
		t.upsert.BindText(3, item.Value)
		if err := step(t.upsert); err != nil {
			return err
		}
	}
	return step(t.commit)
}

func step(statement *sqlite.Stmt) error {
	if _, err := statement.Step(); err != nil {
		return err
	}
	return statement.Reset()
}

func (t *bareTarget) Get(group, key string) (value string, found bool, err error) {
	r := <-t.readers
	defer func() { t.readers <- r }()
	r.get.BindText(1, group)
	r.get.BindText(2, key)
	if found, err = r.get.Step(); err == nil && found {
		value = r.get.ColumnText(0)
	}
	return value, found, errors.Join(err, r.get.Reset())
}

func (t *bareTarget) GetAll(group string) (map[string]string, error) {
	r := <-t.readers
	defer func() { t.readers <- r }()
	r.all.BindText(1, group)
	all := make(map[string]string)
	for {
		more, err := r.all.Step()
		if err != nil || !more {
			return all, errors.Join(err, r.all.Reset())
		}
		all[r.all.ColumnText(0)] = r.all.ColumnText(1)
	}
}

func (t *bareTarget) Page(group string, offset, limit int) (int, error) {
	return t.scan(group, "", offset, limit)
}

func (t *bareTarget) Scan(group, key string, limit int) (int, error) {
	return t.scan(group, key, 0, limit)
}

func (t *bareTarget) scan(group, from string, offset, limit int) (int, error) {
	r := <-t.readers
	defer func() { t.readers <- r }()
	r.page.BindText(1, group)
	r.page.BindText(2, from)
	r.page.BindInt64(3, int64(limit))
	r.page.BindInt64(4, int64(offset))
	rows := make([]bench.Item, 0, limit)
	for {
		more, err := r.page.Step()
		if err != nil || !more {
			return len(rows), errors.Join(err, r.page.Reset())
		}
		rows = append(rows, bench.Item{Key: r.page.ColumnText(0), Value: r.page.ColumnText(1)})
	}
}

func (t *bareTarget) Close() error {
	var errs []error
	for range len(t.readers) {
		errs = append(errs, (<-t.readers).connection.Close())
	}
	if t.connection != nil {
		errs = append(errs, t.connection.Close())
	}
	return errors.Join(errs...)
}
