package metamorphic

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/engine"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/outbox"

	"github.com/asynkron/protoactor-go/actor"
	"pgregory.net/rapid"
)

// TestOutboxMetamorphic: whatever is told, timed, acknowledged, refused, given up and taken
// back, by whatever calls, across kills, restarts and failures of actors, the outbox holds
// what a plain model of lists does: for each address in the order of the commits, under IDs
// that stay.
func TestOutboxMetamorphic(t *testing.T) {
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	defer system.Shutdown()
	for name, value := range map[string]string{"rapid.steps": "60", "rapid.checks": "3"} { // it looks at everything after each
		was := flag.Lookup(name).Value.String()
		_ = flag.Set(name, value)
		defer func() { _ = flag.Set(name, was) }()
	}
	keepSeed(t)
	kinds := map[string]int{}
	for began := time.Now(); len(kinds) == 0 || time.Since(began) < *runFor/2; drawOthers() {
		rapid.Check(t, func(r *rapid.T) {
			w := newPost(r, system)
			defer w.end()
			actions := map[string]func(*rapid.T){"": func(r *rapid.T) { w.t = r; w.verify() }}
			for name, act := range w.actions() {
				actions[name] = func(r *rapid.T) { w.t = r; kinds[name]++; act() }
			}
			r.Repeat(actions)
			w.deliver()
			w.verify()
		})
	}
	t.Log(kinds)
}

// letter is a message as the model knows it; its id once it was seen.
type letter struct {
	id, text string // of a timer "group/key=value@deadline"
	reason   string // of one that was given up
}

// timed is a key as the model knows it.
type timed struct {
	value, address string
	deadline       int64
}

// post is a store, and the model of what its outbox holds.
type post struct {
	t      *rapid.T
	system *actor.ActorSystem
	folder string
	copies int
	path   string
	memory bool
	clock  *testkit.Clock
	faults *testkit.Faults
	store  *api.Store
	scope  *api.ScopedStore

	keys    map[place]timed
	waiting map[string][]letter // by address, in order
	fresh   map[string][]letter // that came since the last look: those of Tell in order, of timers in any
	dead    map[string][]letter // by address and ID
	ids     map[string]bool     // that there ever were
}

var postAddresses = []string{"a", "b", "tenant:a"}

func newPost(t *rapid.T, system *actor.ActorSystem) *post {
	w := &post{t: t, system: system, clock: testkit.NewClock(), faults: testkit.NewFaults(), memory: rapid.Bool().Draw(t, "memory"), path: ":memory:",
		keys: map[place]timed{}, waiting: map[string][]letter{}, fresh: map[string][]letter{}, dead: map[string][]letter{}, ids: map[string]bool{}}
	if !w.memory {
		w.path = w.newPath()
	}
	w.open()
	return w
}

func (w *post) must(err error) {
	if err != nil {
		w.t.Fatalf("%v", err)
	}
}

func (w *post) newPath() string {
	if w.folder == "" {
		folder, err := os.MkdirTemp(memoryFolder(), "outbox")
		w.must(err)
		w.folder = folder
	}
	w.copies++
	folder := filepath.Join(w.folder, fmt.Sprint(w.copies))
	w.must(os.Mkdir(folder, 0o700))
	return filepath.Join(folder, "store.db")
}

func (w *post) open() {
	store, err := api.New(w.path, api.WithClock(w.clock), api.WithPurgeInterval(noPurge),
		func(c *engine.Config) error { c.Failpoint = w.faults.Hook; return nil })
	w.must(err)
	w.store = store
	w.scope, err = api.NewScopedWithQuota(store, "tenant", api.QuotaConfig{MaxKeys: 1000})
	w.must(err)
}

func (w *post) end() {
	_ = w.store.Close()
	if w.folder != "" {
		_ = os.RemoveAll(w.folder)
	}
}

func (w *post) now() int64 { return w.clock.Now().UnixMilli() }

// change makes a call; what it does happens if it succeeds, or if it can't be told and the
// revision says so.
func (w *post) change(call func() error, does func()) {
	before, err := w.store.Revision()
	w.must(err)
	switch err = call(); {
	case err == nil:
		does()
	case errors.Is(err, api.RolledBackError), errors.Is(err, api.UnknownOutcomeError):
		after, err := w.store.Revision()
		for range 8 {
			if err == nil {
				break
			}
			after, err = w.store.Revision()
		}
		if w.must(err); after != before {
			does()
		}
	default:
		w.t.Fatalf("%v", err)
	}
}

func (w *post) told(address, text string) {
	w.fresh[address] = append(w.fresh[address], letter{text: text})
}

// put has a key expire, or not, and its timer end.
func (w *post) put(p place, value string, ttl time.Duration, address string) {
	w.expire(p)
	delete(w.keys, p)
	if ttl != 0 {
		deadline := time.UnixMilli(w.now()).Add(ttl).UnixMilli()
		w.keys[p] = timed{value, address, deadline}
	} else {
		w.keys[p] = timed{value: value, deadline: never}
	}
}

// expire has a key that is past its deadline tell the address that is to be told.
func (w *post) expire(p place) {
	if k, there := w.keys[p]; there && k.deadline <= w.now() {
		delete(w.keys, p)
		if k.address != "" {
			w.told(k.address, "timer "+fmt.Sprintf("%s/%s=%s@%d", p.group, p.key, k.value, k.deadline))
		}
	}
}

func (w *post) pick(label string, from []string) string {
	return rapid.SampledFrom(from).Draw(w.t, label)
}

func (w *post) text() string { return fmt.Sprint("tell ", rapid.IntRange(0, 99).Draw(w.t, "text")) }

func (w *post) actions() map[string]func() {
	return map[string]func(){
		"Tell": func() {
			text := w.text()
			if rapid.Bool().Draw(w.t, "scoped") {
				w.change(func() error { return w.scope.Tell("a", text) }, func() { w.told("tenant:a", text) })
				return
			}
			address := w.pick("address", postAddresses)
			w.change(func() error { return w.store.Tell(address, text) }, func() { w.told(address, text) })
		},
		"Batch": func() {
			b, p := new(api.Batch), w.place()
			one, two, address, other := w.text(), w.text(), w.pick("address", postAddresses), w.pick("other", postAddresses)
			b.Tell(address, one).SetWithTTL(p.group, p.key, "of a batch", time.Minute, api.NotifyOnExpiry(other)).Tell(address, two)
			if rapid.IntRange(0, 3).Draw(w.t, "refused") == 3 {
				if _, err := w.store.Batch(b.Persist("there is", "no such key")); !errors.Is(err, api.NotFoundError) && !errors.Is(err, api.RolledBackError) {
					w.t.Fatalf("%v", err)
				}
				return
			}
			w.change(func() error { _, err := w.store.Batch(b); return err }, func() {
				w.told(address, one)
				w.put(p, "of a batch", time.Minute, other)
				w.told(address, two)
			})
		},
		"Transaction": func() {
			text, address, p := w.text(), w.pick("address", postAddresses), w.place()
			stop := rapid.IntRange(0, 3).Draw(w.t, "stops") == 3
			call := func() error {
				return w.store.Transaction(func(tx *api.Transaction) error {
					err := errors.Join(tx.Tell(address, text), tx.Set(p.group, p.key, "of a transaction"))
					if stop {
						return errors.Join(err, errStop)
					}
					return err
				})
			}
			if stop {
				if err := call(); !errors.Is(err, errStop) {
					w.t.Fatalf("%v", err)
				}
				return
			}
			w.change(call, func() { w.told(address, text); w.put(p, "of a transaction", 0, "") })
		},
		"SetWithTTL": func() {
			p, value, address := w.place(), fmt.Sprint(rapid.IntRange(0, 99).Draw(w.t, "value")), w.pick("address", append(postAddresses, ""))
			ttl := rapid.SampledFrom([]time.Duration{-time.Second, time.Second, 2 * time.Second, time.Minute}).Draw(w.t, "ttl")
			w.change(func() error {
				if address == "" {
					return w.store.SetWithTTL(p.group, p.key, value, ttl)
				}
				return w.store.SetWithTTL(p.group, p.key, value, ttl, api.NotifyOnExpiry(address))
			}, func() { w.put(p, value, ttl, address) })
		},
		"Set": func() {
			p := w.place()
			w.change(func() error { return w.store.Set(p.group, p.key, "set") }, func() { w.put(p, "set", 0, "") })
		},
		"Touch": func() {
			p := w.place()
			w.expire(p)
			k, there := w.keys[p]
			if !there {
				if err := w.store.Touch(p.group, p.key, time.Second); !errors.Is(err, api.NotFoundError) && !errors.Is(err, api.RolledBackError) {
					w.t.Fatalf("%v", err)
				}
				return
			}
			w.change(func() error { return w.store.Touch(p.group, p.key, 3*time.Second) }, func() {
				k.deadline = time.UnixMilli(w.now()).Add(3 * time.Second).UnixMilli()
				w.keys[p] = k
			})
		},
		"Delete": func() {
			p := w.place()
			w.change(func() error { return w.store.Delete(p.group, p.key) }, func() { w.expire(p); delete(w.keys, p) })
		},
		"DeleteGroup": func() {
			group := w.place().group
			w.change(func() error { return w.store.DeleteGroup(group) }, func() {
				for p := range w.keys {
					if p.group == group {
						w.expire(p)
						delete(w.keys, p)
					}
				}
			})
		},
		"Ack": func() { // as package outbox has it
			if address, at := w.letter(w.waiting); at >= 0 {
				id := w.waiting[address][at].id
				w.change(func() error { return w.store.Delete(api.OutboxPrefix+address, id) },
					func() { w.waiting[address] = slices.Delete(w.waiting[address], at, at+1) })
			}
		},
		"Bury": func() {
			if address, at := w.letter(w.waiting); at >= 0 {
				page := w.page(w.store.OutboxPage, address, w.waiting[address][at].id, 1)
				w.change(func() error { return w.store.Bury(page[0], "no use", 3) }, func() { w.bury(address, at, "no use") })
				if err := w.store.Bury(page[0], "once more", 4); err != nil && !errors.Is(err, api.NotFoundError) && !errors.Is(err, api.RolledBackError) {
					w.t.Fatalf("%v", err)
				} else if err == nil { // the first one was undone
					w.bury(address, at, "once more")
				}
			}
		},
		"BuryAll": func() {
			address := w.pick("address", postAddresses)
			if n := len(w.waiting[address]); n > 0 {
				n = rapid.IntRange(1, n).Draw(w.t, "messages")
				page := w.page(w.store.OutboxPage, address, "", n)
				w.change(func() error { return w.store.BuryAll(page, "nobody", 1) }, func() {
					for range n {
						w.bury(address, 0, "nobody")
					}
				})
			}
		},
		"Revive": func() {
			if address, at := w.letter(w.dead); at >= 0 {
				page := w.page(w.store.DeadPage, address, w.dead[address][at].id, 1)
				w.change(func() error { return w.store.Revive(page[0]) }, func() {
					l := w.dead[address][at]
					w.dead[address] = slices.Delete(w.dead[address], at, at+1)
					w.waiting[address] = insert(w.waiting[address], letter{id: l.id, text: l.text})
				})
			}
		},
		"Deliver": func() {
			if rapid.IntRange(0, 2).Draw(w.t, "now") == 2 { // else there is never much that waits
				w.verify() // it has to know the order
				w.deliver()
			}
		},
		"Advance": func() {
			w.clock.Advance(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 5 * time.Second, time.Hour}).Draw(w.t, "by"))
		},
		"Fault": func() {
			w.faults.Plan(w.pick("step", []string{"writer.begin", "writer.apply", "writer.commit", "writer.committed", "writer.publish"}), 1)
		},
		"Reopen": func() {
			if !w.memory {
				w.must(w.store.Close())
				w.open()
			}
		},
		"Kill": w.kill,
	}
}

// kill leaves what is in the files.
func (w *post) kill() {
	if w.memory {
		return
	}
	killed := w.newPath()
	w.must(copyOfAMoment(w.path, killed))
	w.must(w.store.Close())
	w.path = killed
	w.open()
}

func (w *post) place() place {
	return place{w.pick("group", []string{"g", "h"}), w.pick("key", []string{"k", "l"})}
}

// letter is one of those that there are.
func (w *post) letter(of map[string][]letter) (address string, at int) {
	address = w.pick("address", postAddresses)
	if len(of[address]) == 0 {
		return address, -1
	}
	return address, rapid.IntRange(0, len(of[address])-1).Draw(w.t, "message")
}

func (w *post) page(of func(string, string, int) ([]api.OutboxMessage, error), address, from string, limit int) []api.OutboxMessage {
	page, err := of(address, from, limit)
	if w.must(err); len(page) != limit {
		w.t.Fatalf("%d messages to %s from %q on, not %d", len(page), address, from, limit)
	}
	return page
}

func (w *post) bury(address string, at int, reason string) {
	l := w.waiting[address][at]
	w.waiting[address] = slices.Delete(w.waiting[address], at, at+1)
	l.reason = reason
	w.dead[address] = insert(w.dead[address], l)
}

func insert(letters []letter, l letter) []letter {
	at := sort.Search(len(letters), func(i int) bool { return letters[i].id > l.id })
	return slices.Insert(letters, at, l)
}

// deliver has package outbox deliver everything. Its receiver refuses some.
func (w *post) deliver() {
	w.faults.Plan("none", 0)
	var mu sync.Mutex
	got := map[string][]string{} // by address: each once, in order
	refuses := func(text string) bool { return strings.HasSuffix(text, "3") }
	receiver := w.system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		m, ok := c.Message().(outbox.Message)
		if !ok {
			return
		}
		text := textOf(m.Payload, m.Expired)
		mu.Lock()
		if !slices.Contains(got[m.Address], m.ID) {
			got[m.Address] = append(got[m.Address], m.ID)
		}
		mu.Unlock()
		if refuses(text) {
			c.Respond(m.Reject("it ends with 3"))
		} else {
			c.Respond(m.Ack())
		}
	}))
	delivery, err := outbox.Start(w.store, w.system, outbox.Options{Window: rapid.IntRange(1, 4).Draw(w.t, "window"), Timeout: testkit.Patience,
		FirstPause: time.Millisecond, LastPause: time.Millisecond, Addresses: rapid.IntRange(1, 3).Draw(w.t, "places"),
		Resolve: func(string) (*actor.PID, error) { return receiver, nil }})
	w.must(err)
	for limit := time.Now().Add(testkit.Patience); ; time.Sleep(100 * time.Microsecond) {
		left, err := w.store.CountAll(api.OutboxPrefix)
		if w.must(err); left == 0 {
			break
		}
		if time.Now().After(limit) {
			w.t.Fatalf("%d messages are not delivered", left)
		}
	}
	delivery.Stop()
	w.system.Root.Stop(receiver)
	for address, letters := range w.waiting {
		var want []string
		for at, l := range letters {
			want = append(want, l.id)
			if refuses(l.text) {
				letters[at].reason = "rejected: it ends with 3"
				w.dead[address] = insert(w.dead[address], letters[at])
			}
		}
		mu.Lock()
		if !slices.Equal(got[address], want) {
			w.t.Errorf("to %s were delivered %q, not %q", address, got[address], want)
		}
		mu.Unlock()
		delete(w.waiting, address)
	}
}

func textOf(payload string, expired *api.ExpiredKey) string {
	if expired == nil {
		return payload
	}
	return fmt.Sprintf("timer %s/%s=%s@%d", expired.Group, expired.Key, expired.Value, expired.ExpiresAt.UnixMilli())
}

// verify has everything that has expired removed, and compares the outbox with the model.
func (w *post) verify() {
	err := api.RolledBackError
	for range 8 {
		if _, err = w.store.PurgeExpired(); err == nil {
			break
		}
	}
	w.must(err)
	for p := range w.keys {
		w.expire(p)
	}
	for _, address := range postAddresses {
		letters := w.all(w.store.OutboxPage, address)
		known := w.waiting[address]
		if len(letters) < len(known) || !slices.Equal(letters[:len(known)], known) {
			w.t.Fatalf("%s has %v, not first %v", address, letters, known)
		}
		fresh := letters[len(known):]
		if err := w.sameFresh(fresh, w.fresh[address]); err != nil {
			w.t.Fatalf("%s: %v", address, err)
		}
		for _, l := range fresh {
			if w.ids[address+l.id] {
				w.t.Fatalf("the ID %s of %s was another message's", l.id, address)
			}
			w.ids[address+l.id] = true
		}
		w.waiting[address], w.fresh[address] = letters, nil
		if dead := w.all(w.store.DeadPage, address); !slices.Equal(dead, w.dead[address]) {
			w.t.Fatalf("the dead letters of %s are %v, not %v", address, dead, w.dead[address])
		}
	}
	timers := 0
	for _, k := range w.keys {
		if k.address != "" {
			timers++
		}
	}
	n, err := w.store.CountAll(api.TimersPrefix)
	if w.must(err); n != timers {
		w.t.Fatalf("there are %d timers, not %d", n, timers)
	}
}

// sameFresh compares what has come: what was told in the order of the commits, timers in any.
func (w *post) sameFresh(got, want []letter) error {
	told := func(letters []letter) (texts []string) {
		for _, l := range letters {
			if strings.HasPrefix(l.text, "tell ") {
				texts = append(texts, l.text)
			}
		}
		return texts
	}
	sorted := func(letters []letter) (texts []string) {
		for _, l := range letters {
			texts = append(texts, l.text)
		}
		slices.Sort(texts)
		return texts
	}
	if !slices.Equal(told(got), told(want)) || !slices.Equal(sorted(got), sorted(want)) {
		return fmt.Errorf("what has come is %v, not %v", got, want)
	}
	return nil
}

// all are the messages, page by page.
func (w *post) all(of func(string, string, int) ([]api.OutboxMessage, error), address string) (letters []letter) {
	for from := ""; ; {
		page, err := of(address, from, 3)
		if w.must(err); len(page) == 0 {
			return letters
		}
		for _, m := range page {
			letters = append(letters, letter{m.ID, textOf(m.Payload, m.Expired), m.Reason})
			from = m.ID + "\x00"
		}
	}
}
