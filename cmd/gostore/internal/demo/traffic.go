package demo

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// readBurst is how many keys a reader reads each millisecond.
const readBurst = 8

// newRandom gives each goroutine a sequence of its own, the same in every run.
func newRandom(role string, i int) *rand.Rand {
	hash := fnv.New64a()
	hash.Write([]byte(role))
	return rand.New(rand.NewPCG(hash.Sum64(), uint64(i)))
}

// write sets and now and then deletes keys that nobody else writes, and reads
// some of them back.
func (l *load) write(ctx context.Context, cells []*cell, random *rand.Rand) {
	for ctx.Err() == nil {
		c := cells[random.IntN(len(cells))]
		var err error
		if c.present() && random.IntN(16) == 0 {
			c.issued.Add(1)
			if err = l.store.Delete(c.group, c.key); err == nil {
				c.acknowledge(false)
			}
		} else if err = l.store.Set(c.group, c.key, c.value(c.issued.Add(1))); err == nil {
			c.acknowledge(true)
		}
		if err != nil {
			c.doubtful = errors.Is(err, api.UnknownOutcomeError)
			l.failed("write", err)
			return
		}
		l.writes.Add(1)
		if random.IntN(8) == 0 {
			// Nobody else writes the key: this has to find what was just written.
			l.get(c)
		}
	}
}

// read reads any key and judges what it finds, in bursts. A reader that never
// rests would measure Go's scheduler: it keeps a processor for a whole time
// slice, several times for each commit, and costs the writers six sevenths of
// their speed on two cores.
func (l *load) read(ctx context.Context, random *rand.Rand) {
	every(ctx, time.Millisecond, func() {
		for range readBurst {
			l.get(l.model.readable[random.IntN(len(l.model.readable))])
		}
	})
}

func (l *load) get(c *cell) {
	before := c.acked.Load()
	value, err := l.store.Get(c.group, c.key)
	found := !errors.Is(err, api.NotFoundError)
	if found && err != nil {
		l.failed("read", err)
		return
	}
	l.gets.Add(1)
	if wrong := c.judge(value, found, before, c.issued.Load()); wrong != "" {
		l.findings.add("%s", wrong)
	}
}
