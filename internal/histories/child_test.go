package histories

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/engine"
	"forge.lthn.ai/core/go-store/internal/testkit"

	"go.uber.org/goleak"
)

// The process that owns the store is this test binary, started again.
const (
	childPath = "GOSTORE_HISTORIES_PATH"
	childSeed = "GOSTORE_HISTORIES_SEED"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		if err := serve(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// request is one call for the other process to make.
type request struct {
	ID       int
	Call     call
	Accesses []access // their lists are keys of the group Group
	Group    string
	Register bool // what is appended replaces what was there
}

// appended is a list with one value more.
func (r *request) appended(list []string, value string) []string {
	if r.Register {
		return []string{value}
	}
	return append(list[:len(list):len(list)], value)
}

type call int

const (
	inTransaction call = iota // any accesses
	inBatch                   // reads of entries, then a batch if they have the same revisions still
	compareAndSet             // one list: a read and an append
	setting                   // one list of one value: Set, of a register
	getMany                   // reads
	inSnapshot                // reads
	getting                   // one read
	scanningGroup             // a transaction that reads the whole group
	reopening                 // nothing but Close and New
	calls         = int(reopening)
)

// What no client has asked for.
const (
	ready = -1
	last  = -2 // once the store is closed
)

// response is what came of it.
type response struct {
	ID      int
	Outcome outcome
	Reads   [][]string // of each access that is a read
	Err     string
	Folds   map[string]int // steps of the fold since the last answer
}

// owner is the store in its process. It is replaced when it is opened anew.
type owner struct {
	path    string
	store   atomic.Pointer[api.Store]
	opening sync.RWMutex // held while the store is closed and opened again
	folds   testkit.Folds
	options []api.Option
}

// serve makes the calls that come by standard input, each in a goroutine, and answers
// by standard output.
func serve(path string) error {
	seed, err := strconv.ParseUint(os.Getenv(childSeed), 10, 64)
	if err != nil {
		return err
	}
	o := &owner{path: path, options: optionsOf(seed)}
	o.options = append(o.options, func(c *engine.Config) error { c.FoldStep = o.folds.Step; return nil })
	if err := o.open(); err != nil {
		return err
	}
	in, out := gob.NewDecoder(os.Stdin), gob.NewEncoder(os.Stdout)
	var mu sync.Mutex // of out
	answer := func(r response) error {
		mu.Lock()
		defer mu.Unlock()
		r.Folds = o.folds.Take()
		return out.Encode(r)
	}
	if err := answer(response{ID: ready}); err != nil {
		return err
	}
	for {
		var r request
		if err := in.Decode(&r); errors.Is(err, io.EOF) {
			return errors.Join(o.store.Load().Close(), answer(response{ID: last}))
		} else if err != nil {
			return err
		}
		go func() {
			if err := answer(o.do(r)); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}()
	}
}

// optionsOf are what the seed says: caches of all sizes, files that are mapped or read, and
// actors that fail now and then.
func optionsOf(seed uint64) []api.Option {
	faults := testkit.NewFaults()
	options := []api.Option{api.WithReadCache([]int{0, 2 << 10, 64 << 10, 16 << 20}[seed%4]), api.WithMmap(seed/16%2 == 0),
		func(c *engine.Config) error { c.Failpoint = faults.Hook; return nil }}
	if overlaid(seed) {
		options = append(options, api.WithOverlay(64<<10))
	} else {
		options = append(options, api.WithOverlay(0))
	}
	if seed/4%2 == 0 {
		options = append(options, api.WithDurability(api.DurabilityBuffered))
	}
	if seed/8%2 == 0 {
		faults.Scatter(seed, 400)
	}
	return options
}

// overlaid says whether commits go into an overlay. Behind a kill the store is opened with the
// next seed: so an overlay is followed by another, or by a store without.
func overlaid(seed uint64) bool { return seed%3 != 0 }

func (o *owner) open() error {
	store, err := api.New(o.path, o.options...)
	if err == nil {
		o.store.Store(store)
		go beside(store)
	}
	return err
}

// beside writes what no history is of, so that the fold has parts of runs, and groups that were
// deleted, to go through while there are calls. It ends with the store.
func beside(store *api.Store) {
	var many []api.Item
	for i := range 300 {
		many = append(many, api.Item{Group: "beside", Key: strconv.Itoa(i)})
	}
	for ctx := context.Background(); ; {
		for _, err := range []error{store.SetAll(many), store.Fold(ctx), store.DeleteGroup("beside"), store.Fold(ctx)} {
			if errors.Is(err, api.ClosedError) {
				return
			}
		}
	}
}

// reopen closes the store, calls in flight or not, and opens it again.
func (o *owner) reopen() error {
	o.opening.Lock()
	defer o.opening.Unlock()
	if err := o.store.Load().Close(); err != nil {
		return err
	}
	return o.open()
}

func (o *owner) do(r request) (a response) {
	a.ID = r.ID
	var err error
	switch r.Call {
	case reopening:
		err = o.reopen()
	default:
		a.Reads, err = o.call(o.store.Load(), r)
	}
	var mismatch *api.RevisionMismatchError
	var conflict *api.ConflictError
	switch {
	case err == nil:
		return a
	case errors.Is(err, api.UnknownOutcomeError):
		a.Outcome = unknown
	case errors.Is(err, api.ClosedError):
		a.Outcome = refused
		o.opening.RLock() // the caller would only try again and again
		o.opening.RUnlock()
	case errors.As(err, &mismatch), errors.As(err, &conflict), errors.Is(err, api.RolledBackError):
		a.Outcome = refused
	default:
		a.Outcome, a.Err = unknown, err.Error()
	}
	return a
}

func split(value string) []string {
	if value == "" {
		return nil
	}
	return strings.Split(value, ",")
}

func join(list []string) string { return strings.Join(list, ",") }

func (o *owner) call(s *api.Store, r request) (reads [][]string, err error) {
	switch r.Call {
	case inTransaction, scanningGroup:
		err = s.Transaction(func(tx *api.Transaction) error {
			reads, err = transact(tx, r)
			return err
		})
	case inBatch:
		return conditionally(s, r)
	case compareAndSet:
		key := r.Accesses[0].List
		entry, err := entryOf(s, r.Group, key)
		if err != nil {
			return nil, err
		}
		list := split(entry.Value)
		_, err = s.CompareAndSet(r.Group, key, join(r.appended(list, r.Accesses[1].Append)), entry.Revision)
		return [][]string{list}, err
	case setting:
		return nil, s.Set(r.Group, r.Accesses[0].List, r.Accesses[0].Append)
	case getMany:
		var keys []string
		for _, a := range r.Accesses {
			keys = append(keys, a.List)
		}
		found, err := s.GetMany(r.Group, keys...)
		for _, key := range keys {
			reads = append(reads, split(found[key]))
		}
		return reads, err
	case inSnapshot:
		snapshot, err := s.Snapshot()
		if err != nil {
			return nil, err
		}
		defer snapshot.Close() //nolint:errcheck // it never fails
		for _, a := range r.Accesses {
			value, err := snapshot.Get(r.Group, a.List)
			if err != nil && !errors.Is(err, api.NotFoundError) {
				return nil, err
			}
			reads = append(reads, split(value))
		}
	case getting:
		value, err := s.Get(r.Group, r.Accesses[0].List)
		if err != nil && !errors.Is(err, api.NotFoundError) {
			return nil, err
		}
		return [][]string{split(value)}, nil
	}
	return reads, err
}

// transact goes through the accesses within a transaction.
func transact(tx *api.Transaction, r request) (reads [][]string, err error) {
	if r.Call == scanningGroup {
		all, err := tx.GetAll(r.Group)
		for _, a := range r.Accesses {
			if a.Append == "" {
				reads = append(reads, split(all[a.List]))
			} else if err == nil {
				err = tx.Set(r.Group, a.List, join(r.appended(split(all[a.List]), a.Append)))
			}
		}
		return reads, err
	}
	for _, a := range r.Accesses {
		value, err := tx.Get(r.Group, a.List)
		if err != nil && !errors.Is(err, api.NotFoundError) {
			return nil, err
		}
		if a.Append == "" {
			reads = append(reads, split(value))
		} else if err := tx.Set(r.Group, a.List, join(r.appended(split(value), a.Append))); err != nil {
			return nil, err
		}
	}
	return reads, nil
}

func entryOf(s *api.Store, group, key string) (api.Entry, error) {
	entry, err := s.Entry(group, key)
	if errors.Is(err, api.NotFoundError) {
		return api.Entry{}, nil
	}
	return entry, err
}

// conditionally reads entry by entry, and appends if none of them has changed
// meanwhile.
func conditionally(s *api.Store, r request) (reads [][]string, err error) {
	b, writes := new(api.Batch), map[string][]string{}
	for _, a := range r.Accesses {
		list, known := writes[a.List]
		if !known {
			entry, err := entryOf(s, r.Group, a.List)
			if err != nil {
				return nil, err
			}
			list = split(entry.Value)
			b.IfRevision(r.Group, a.List, entry.Revision)
		}
		if a.Append == "" {
			reads = append(reads, list)
		} else {
			list = r.appended(list, a.Append)
			b.Set(r.Group, a.List, join(list))
		}
		writes[a.List] = list
	}
	_, err = s.Batch(b)
	return reads, err
}

// remote is the process, as its callers see it.
type remote struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	gone  chan struct{} // closed when nothing more will come

	mu struct {
		sync.Mutex
		out     *gob.Encoder
		waiting map[int]chan response
	}
}

func start(path string, seed uint64) (*remote, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r := &remote{cmd: exec.Command(program), gone: make(chan struct{})}
	r.cmd.Env = append(os.Environ(), childPath+"="+path, childSeed+"="+strconv.FormatUint(seed, 10))
	r.cmd.Stderr = os.Stderr
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	r.mu.out, r.mu.waiting = gob.NewEncoder(r.stdin), map[int]chan response{}
	in := gob.NewDecoder(stdout)
	var opened response
	if err := in.Decode(&opened); err != nil {
		_ = r.cmd.Process.Kill()
		return nil, errors.Join(fmt.Errorf("the other process has not opened the store: %w", err), r.cmd.Wait())
	}
	r.noteFolds(&opened)
	go r.receive(in)
	return r, nil
}

// receive hands answers to their callers, until the process has ended.
func (r *remote) receive(in *gob.Decoder) {
	defer close(r.gone)
	for {
		var a response
		if in.Decode(&a) != nil {
			return
		}
		r.noteFolds(&a)
		if a.ID == last {
			continue
		}
		r.mu.Lock()
		waiting := r.mu.waiting[a.ID]
		delete(r.mu.waiting, a.ID)
		r.mu.Unlock()
		waiting <- a
	}
}

func (r *remote) noteFolds(a *response) {
	for step, n := range a.Folds {
		folds.Add(step, n)
	}
}

// do makes a call. answered: the process did not end before.
func (r *remote) do(q request) (a response, answered bool) {
	waiting := make(chan response, 1)
	r.mu.Lock()
	r.mu.waiting[q.ID] = waiting
	err := r.mu.out.Encode(q)
	r.mu.Unlock()
	if err == nil {
		select {
		case a := <-waiting:
			return a, true
		case <-r.gone:
		}
	} else {
		<-r.gone
	}
	select {
	case a := <-waiting: // it had answered
		return a, true
	default:
		return response{Outcome: unknown}, false
	}
}

// kill ends the process without a chance to clean up.
func (r *remote) kill() {
	_ = r.cmd.Process.Kill()
	<-r.gone
	_ = r.cmd.Wait()
}

// finish has it close the store.
func (r *remote) finish() error {
	_ = r.stdin.Close()
	<-r.gone
	return r.cmd.Wait()
}
