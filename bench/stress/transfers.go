package stress

import (
	"errors"
	"fmt"
	"strconv"

	"forge.lthn.ai/core/go-store/api"
)

const (
	accountGroup  = "accounts"
	accounts      = 12
	firstBalance  = 1000
	sumOfAccounts = accounts * firstBalance
)

func accountKey(i int) string { return fmt.Sprintf("account-%02d", i) }

// openAccounts gives every account its first balance, before any other caller writes.
func (r *run) openAccounts() {
	call, c := Call{Kind: SetAll}, r.callers[0]
	var owed []change
	for i := range accounts {
		call.Items = append(call.Items, api.Item{Group: accountGroup, Key: accountKey(i), Value: strconv.Itoa(firstBalance)})
		owed = append(owed, change{api.EventSet, accountGroup, accountKey(i)})
	}
	if err := c.do(call).Err; err != nil {
		c.unexpected(call, err)
		return
	}
	c.writes.Add(1)
	r.ledger.committed(owed...)
}

// transfer moves money from one account to another.
func (c *caller) transfer() {
	from := c.random.IntN(accounts)
	to := (from + 1 + c.random.IntN(accounts-1)) % accounts
	amount := int64(1 + c.random.IntN(100))
	if c.random.IntN(2) == 0 {
		c.transferByBatch(from, to, amount)
		return
	}
	call := Call{Kind: Transfer, Group: accountGroup, Key: accountKey(from), Value: accountKey(to), Delta: amount}
	answer := c.do(call)
	switch {
	case errors.Is(answer.Err, errTooPoor):
	case errors.Is(answer.Err, errConflict):
		c.conflicts.Add(1)
	default:
		c.transferred(call, answer, from, to)
	}
}

// transferByBatch does so on condition that neither account has changed since
// it was read.
func (c *caller) transferByBatch(from, to int, amount int64) {
	batch := Call{Kind: Batch}
	for i, each := range []struct {
		account int
		amount  int64
	}{{from, -amount}, {to, amount}} {
		read := Call{Kind: Entry, Group: accountGroup, Key: accountKey(each.account)}
		entry := c.do(read)
		balance, err := strconv.ParseInt(entry.Value, 10, 64)
		if errors.Join(entry.Err, err) != nil {
			c.unexpected(read, errors.Join(entry.Err, err))
			return
		}
		balance += each.amount
		if i == 0 && balance < 0 {
			return
		}
		batch.Conditions = append(batch.Conditions, Condition{accountGroup, accountKey(each.account), entry.Revision})
		batch.Items = append(batch.Items, api.Item{Group: accountGroup, Key: accountKey(each.account), Value: strconv.FormatInt(balance, 10)})
	}
	answer := c.do(batch)
	var mismatch *api.RevisionMismatchError
	if errors.As(answer.Err, &mismatch) {
		c.conflicts.Add(1)
		return
	}
	c.transferred(batch, answer, from, to)
}

// transferred notes what became of a transfer.
func (c *caller) transferred(call Call, answer Answer, from, to int) {
	owed := []change{{api.EventSet, accountGroup, accountKey(from)}, {api.EventSet, accountGroup, accountKey(to)}}
	switch {
	case answer.Err == nil:
		c.writes.Add(1)
		c.ledger.committed(owed...)
		c.saw(answer.Revision)
	case c.inDoubt(answer.Err):
		c.doubts.Add(1)
		c.ledger.doubtful(owed...)
	default:
		c.unexpected(call, answer.Err)
		c.ledger.doubtful(owed...)
	}
}

// audit adds up all accounts in one scan: transfers move money and make none.
func (c *caller) audit() {
	call := c.scanOf(accountGroup)
	call.Limit = accounts + 1
	rows, ok := c.rows(call)
	if !ok {
		return
	}
	sum := int64(0)
	for _, row := range rows {
		balance, err := strconv.ParseInt(row.Value, 10, 64)
		if err != nil || balance < 0 {
			c.findings.add(BrokenSum, "%s/%s: a balance of %s", accountGroup, row.Key, brief(row.Value, true))
		}
		sum += balance
	}
	if sum != sumOfAccounts || len(rows) != accounts {
		c.findings.add(BrokenSum, "%v(%s): %d accounts hold %d, %d accounts shared %d and only moved it", call.Kind, accountGroup, len(rows), sum, accounts, sumOfAccounts)
	}
}
