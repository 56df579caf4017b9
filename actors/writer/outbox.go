package writer

import (
	"fmt"

	"forge.lthn.ai/core/go-store/kv"
)

// tell puts a message into the outbox: an ordinary row, under a key that no other
// message of the store has. Whoever delivers it learns of it as everybody does.
func (t *transaction) tell(m *kv.Mutation, address string, message kv.Message) error {
	message.At = t.now
	row := kv.Row{Group: kv.OutboxPrefix + address, Value: message.Encode(), Deadline: kv.NoDeadline}
	for taken := true; taken; {
		row.Key = kv.MessageID(t.revision+1, t.told)
		t.told++
		var err error
		// Only what was imported from another store can be there.
		if _, taken, err = t.database.Get(row.Group, row.Key); err != nil && !taken {
			return fmt.Errorf("tell: %w", err)
		}
	}
	return t.put(m, row)
}
