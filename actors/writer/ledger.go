package writer

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"forge.lthn.ai/core/go-store/kv"
)

// ledger keeps the usage of the namespaces that were asked about:
// those written to under a quota, and those whose usage was read. A namespace
// is counted once; from then on every mutation that touches it changes its
// account, within the transaction, and what is rolled back is taken back.
type ledger struct {
	accounts map[string]*account
	wanted   []*account // to be counted after the batch in hand
	journal  []entry    // changes of the open transaction, oldest first
	asked    uint64     // how often a namespace was asked about
}

// account is the usage of one namespace. Keys and groups count as long as they
// take a row: an expired one until it is removed.
type account struct {
	namespace string
	state     accountState
	usage     kv.Usage       // counted: exact; counting: what changed since the snapshot
	quota     kv.QuotaConfig // last seen on a write
	swept     int64          // no row of the namespace has its deadline at or before this
	parked    []job          // waiting for the count, and those behind them in their lanes
	touched   bool           // by the open transaction
	used      uint64         // when it was asked about last, by the ledger's count
}

// maxAccounts is how many namespaces are counted at a time, some 300 bytes each here
// and with the quota actor. When there are more, those that no caller has asked about for
// longest are forgotten, a quarter of all, and counted anew on the next need.
const maxAccounts = 8192

type accountState int

const (
	uncounted accountState = iota // or about to be, after the batch in hand
	counting                      // a snapshot is being counted elsewhere
	ready
)

type entry struct {
	account      *account
	keys, groups int64
	swept        int64 // the account's, before the change
}

func newLedger() *ledger { return &ledger{accounts: make(map[string]*account)} }

// of is the account that group belongs to; nil if no caller asked about it.
func (l *ledger) of(group string) *account {
	if len(l.accounts) == 0 {
		return nil
	}
	namespace, ok := kv.NamespaceOf(group)
	if !ok {
		return nil
	}
	return l.accounts[namespace]
}

// open returns the namespace's account, made and to be counted on first need.
func (l *ledger) open(namespace string) *account {
	a := l.accounts[namespace]
	if a == nil {
		a = &account{namespace: namespace, swept: math.MinInt64}
		l.accounts[namespace] = a
		l.wanted = append(l.wanted, a)
	}
	l.asked++
	a.used = l.asked
	return a
}

// trim forgets accounts once there are too many, and returns their names. No
// transaction may be open: it would know of the accounts.
func (l *ledger) trim() (forgotten []string) {
	if len(l.accounts) <= maxAccounts {
		return nil
	}
	var idle []*account
	for _, a := range l.accounts {
		if a.state == ready {
			idle = append(idle, a)
		}
	}
	slices.SortFunc(idle, func(a, b *account) int { return cmp.Compare(a.used, b.used) })
	for _, a := range idle[:min(len(idle), len(l.accounts)-maxAccounts*3/4)] {
		delete(l.accounts, a.namespace)
		forgotten = append(forgotten, a.namespace)
	}
	return forgotten
}

// change books keys and groups that the open transaction adds or removes.
func (l *ledger) change(a *account, keys, groups int64) {
	a.usage.Keys += keys
	a.usage.Groups += groups
	l.journal = append(l.journal, entry{a, keys, groups, a.swept})
}

// undo takes back every change after the first keep ones. Expired rows that
// were removed are there again, so the search for them goes back too.
func (l *ledger) undo(keep int) {
	for i := len(l.journal) - 1; i >= keep; i-- {
		e := l.journal[i]
		e.account.usage.Keys -= e.keys
		e.account.usage.Groups -= e.groups
		e.account.swept = min(e.account.swept, e.swept)
	}
	l.journal = l.journal[:keep]
}

// settle makes the open transaction's changes final and returns the usage of
// the counted namespaces among them.
func (l *ledger) settle() (usage []kv.NamespaceUsage) {
	for _, e := range l.journal {
		a := e.account
		if a.touched || a.state != ready {
			continue
		}
		a.touched = true
		usage = append(usage, a.fact())
	}
	for _, e := range l.journal {
		e.account.touched = false
	}
	l.journal = l.journal[:0]
	if cap(l.journal) > keptEvents {
		l.journal = nil
	}
	return usage
}

// forget has every account counted anew, for when it is not known what a commit
// did: at once where a caller waits, else on the next need. Counts under way
// are of no use any more: their answers find an account that the ledger does
// not hold.
func (l *ledger) forget() {
	old := l.accounts
	l.accounts, l.wanted = make(map[string]*account), nil
	for namespace, a := range old {
		if a.state != ready {
			again := l.open(namespace)
			again.quota, again.parked = a.quota, a.parked
		}
	}
}

// usage is that of every counted namespace.
func (l *ledger) usage() []kv.NamespaceUsage {
	var all []kv.NamespaceUsage
	for _, a := range l.accounts {
		if a.state == ready {
			all = append(all, a.fact())
		}
	}
	return all
}

func (a *account) fact() kv.NamespaceUsage {
	return kv.NamespaceUsage{Namespace: a.namespace, Usage: a.usage, Quota: a.quota}
}

// park sets a job aside whose namespace has to be counted before its quota can
// be judged. All other jobs go on.
func (a *Actor) park(j *job) bool {
	m := j.mutation
	if !m.Quota.Limited() {
		return false
	}
	account := a.ledger.open(m.Namespace)
	account.quota = m.Quota
	if account.state == ready {
		return false
	}
	a.close(j, m.Namespace)
	account.parked = append(account.parked, *j)
	*j = job{mutation: m}
	return true
}

func (m countNamespace) handle(a *Actor) {
	account := a.ledger.open(m.namespace)
	if account.state == ready {
		a.Projections.Committed(&kv.Committed{
			At: a.Clock.Now(), Deadline: kv.NoDeadline, Usage: []kv.NamespaceUsage{account.fact()}})
		return
	}
	a.countWanted()
}

// countWanted starts the counts that the last batch asked for. It runs between
// transactions: the snapshot holds what is committed, and every later change
// is booked to the account. Counting itself holds no caller up.
func (a *Actor) countWanted() {
	if forgotten := a.ledger.trim(); forgotten != nil {
		a.Projections.Committed(&kv.Committed{At: a.Clock.Now(), Deadline: kv.NoDeadline, Forgotten: forgotten})
	}
	for len(a.ledger.wanted) > 0 {
		account := a.ledger.wanted[0]
		a.ledger.wanted = a.ledger.wanted[1:]
		a.Failpoint.Hit("writer.count")
		snapshot, err := a.Database.Snapshot()
		if err != nil {
			a.refuse(account, fmt.Errorf("snapshot: %w", err))
			continue
		}
		account.state, account.usage = counting, kv.Usage{}
		self := a.self
		a.Counter.Count(account.namespace, snapshot, func(usage kv.Usage, err error) {
			self(counted{account: account, usage: usage, err: err})
		})
	}
}

func (m counted) handle(a *Actor) {
	account := m.account
	if a.ledger.accounts[account.namespace] != account {
		return // counted for an earlier incarnation
	}
	a.Failpoint.Hit("writer.counted")
	if m.err != nil {
		a.refuse(account, fmt.Errorf("count namespace %q: %w", account.namespace, m.err))
		return
	}
	account.state = ready
	account.usage.Keys += m.usage.Keys
	account.usage.Groups += m.usage.Groups
	a.Projections.Committed(&kv.Committed{
		At: a.Clock.Now(), Deadline: kv.NoDeadline, Usage: []kv.NamespaceUsage{account.fact()}})
	parked := account.parked
	account.parked = nil
	a.resume(account.namespace, parked)
}

// refuse answers the callers that wait for a count that failed: nothing of theirs was
// written, and they may try again. The next one to ask has the namespace counted
// again.
func (a *Actor) refuse(account *account, err error) {
	delete(a.ledger.accounts, account.namespace)
	a.Counter.Refuse(account.namespace, err)
	a.Logger.Error("a namespace can't be counted", "namespace", account.namespace, "error", err)
	var behind []job // those of the same lanes that don't need the count
	for i := range account.parked {
		j := &account.parked[i]
		if !j.mutation.Quota.Limited() || j.mutation.Namespace != account.namespace {
			behind = append(behind, *j)
			*j = job{}
			continue
		}
		j.request.Resolve(kv.Outcome{}, fmt.Errorf("%w: %w", kv.RolledBackError, err))
		a.release(j)
	}
	account.parked = nil
	a.resume(account.namespace, behind)
}
