package demo

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/cmd/gostore/internal/services"
)

// cell is what the demo knows of one key. One goroutine writes the key; any
// may read it. Its writes are numbered, and a value tells its number, so that
// a reader can judge whatever it finds.
type cell struct {
	group, key string // group is the full name
	text       string // what the values are about

	issued atomic.Uint64 // the number of the last write that began
	acked  atomic.Uint64 // the last acknowledged write: its number doubled, plus one if it left a value

	acknowledged uint64 // how many writes were; owned by the key's writer
	doubtful     bool   // the last write failed without saying whether it took place; owned likewise
	seen         uint64 // the number in the last event; owned by the watcher
}

// value is the value that write n gives the key.
func (c *cell) value(n uint64) string {
	if n == 1 {
		return c.text
	}
	return c.text + " #" + strconv.FormatUint(n, 10)
}

// number is the number of the write that gave the key this value. Nothing
// wrote it if ok is false.
func (c *cell) number(value string) (n uint64, ok bool) {
	rest, found := strings.CutPrefix(value, c.text)
	if !found {
		return 0, false
	}
	if rest == "" {
		return 1, true
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(rest, " #"), 10, 64)
	return n, err == nil && n > 1 && c.value(n) == value
}

// acknowledge notes that the write that began last has succeeded.
func (c *cell) acknowledge(present bool) {
	state := c.issued.Load() << 1
	if present {
		state |= 1
	}
	c.acked.Store(state)
	c.acknowledged++
}

// present reports whether the last acknowledged write left a value.
func (c *cell) present() bool { return c.acked.Load()&1 == 1 }

// judge says what is wrong with a read, "" if nothing. before is acked from
// before the read began, issued the number issued by when it ended.
func (c *cell) judge(value string, found bool, before, issued uint64) string {
	acknowledged := before >> 1
	if !found {
		if before&1 == 0 || issued > acknowledged {
			return "" // deleted, or perhaps deleted since
		}
		return fmt.Sprintf("%s/%s: not found, though write %d was acknowledged", c.group, c.key, acknowledged)
	}
	n, ok := c.number(value)
	switch {
	case !ok:
		return fmt.Sprintf("%s/%s: found %q, which nobody wrote", c.group, c.key, value)
	case n < acknowledged:
		return fmt.Sprintf("%s/%s: found write %d after write %d was acknowledged", c.group, c.key, n, acknowledged)
	case n == acknowledged && before&1 == 0:
		return fmt.Sprintf("%s/%s: found a value that was refused or deleted", c.group, c.key)
	case n > issued:
		return fmt.Sprintf("%s/%s: found write %d, the last that may show is %d", c.group, c.key, n, issued)
	}
	return ""
}

// model is every cell. Its maps and slices are built once.
type model struct {
	assigned []*cell   // the data set, written once
	written  [][]*cell // of each writer
	readable []*cell   // all of these, for readers to choose from
	all      map[[2]string]*cell
}

// newModel deals the data set out: every service is a key in its protocol's
// group, and one more in the group of one of the writers.
func newModel() *model {
	m := &model{written: make([][]*cell, writers), all: map[[2]string]*cell{}}
	i := 0
	for service := range services.All() {
		text := service.Name
		if service.Description != "" {
			text += ": " + service.Description
		}
		m.assigned = append(m.assigned, m.add(service.Protocol, service.Port, text))
		writer := i % writers
		key := service.Protocol + "/" + service.Port
		m.written[writer] = append(m.written[writer], m.add(fmt.Sprintf("writer-%02d", writer), key, text))
		i++
	}
	m.readable = append(m.readable, m.assigned...)
	for _, cells := range m.written {
		m.readable = append(m.readable, cells...)
	}
	return m
}

func (m *model) add(group, key, text string) *cell {
	c := &cell{group: group, key: key, text: text}
	m.all[[2]string{group, key}] = c
	return c
}

// acknowledged is how many writes were acknowledged in all.
func (m *model) acknowledged() uint64 {
	var sum uint64
	for _, c := range m.all {
		sum += c.acknowledged
	}
	return sum
}
