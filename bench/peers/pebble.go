package main

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"forge.lthn.ai/core/go-store/bench"
)

func pebbleContender() bench.Contender {
	return bench.Contender{
		Name: "pebble", Durability: powerCut,
		Note: "pebble.Sync, default options; a group is a prefix. Its Close leaves the log to be replayed by Open, whose time does not count",
		Open: func(folder string, _ bench.Settings) (bench.Target, error) {
			db, err := pebble.Open(folder, &pebble.Options{Logger: quietLogger{}})
			if err != nil {
				return nil, err
			}
			return &pebbleTarget{db}, nil
		},
		Excuses: excuses(nil),
	}
}

// quietLogger keeps pebble from writing to standard error. What is fatal comes
// as an error or a panic too.
type quietLogger struct{}

func (quietLogger) Infof(string, ...any)  {}
func (quietLogger) Errorf(string, ...any) {}
func (quietLogger) Fatalf(format string, arguments ...any) {
	pebble.DefaultLogger.Fatalf(format, arguments...)
}

type pebbleTarget struct{ db *pebble.DB }

func (t *pebbleTarget) Set(group, key, value string) error {
	return t.db.Set(join(group, key), []byte(value), pebble.Sync)
}

func (t *pebbleTarget) Get(group, key string) (string, bool, error) {
	raw, closer, err := t.db.Get(join(group, key))
	if errors.Is(err, pebble.ErrNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	value := string(raw)
	return value, true, closer.Close()
}

func (t *pebbleTarget) Delete(group, key string) error {
	return t.db.Delete(join(group, key), pebble.Sync)
}

func (t *pebbleTarget) DeleteGroup(group string) error {
	return t.db.DeleteRange(join(group, ""), beyond(group), pebble.Sync)
}

func (t *pebbleTarget) GetAll(group string) (map[string]string, error) {
	return visitor[[]byte](t.iterate).getAll(group)
}

func (t *pebbleTarget) Page(group string, offset, limit int) (int, error) {
	return visitor[[]byte](t.iterate).page(group, "", offset, limit)
}

func (t *pebbleTarget) Scan(group, key string, limit int) (int, error) {
	return visitor[[]byte](t.iterate).page(group, key, 0, limit)
}

// iterate is a visitor.
func (t *pebbleTarget) iterate(group, from string, visit func(key, value []byte) bool) (err error) {
	entries, err := t.db.NewIter(&pebble.IterOptions{LowerBound: join(group, from), UpperBound: beyond(group)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, entries.Close()) }()
	for valid := entries.First(); valid; valid = entries.Next() {
		if !visit(entries.Key()[len(group)+1:], entries.Value()) {
			break
		}
	}
	return entries.Error()
}

func (t *pebbleTarget) Load(items []bench.Item) error {
	batch := t.db.NewBatch()
	for _, item := range items {
		if err := batch.Set(join(item.Group, item.Key), []byte(item.Value), nil); err != nil {
			return errors.Join(err, batch.Close())
		}
	}
	return batch.Commit(pebble.Sync)
}

func (t *pebbleTarget) Close() error { return t.db.Close() }
