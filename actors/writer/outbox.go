package writer

import "forge.lthn.ai/core/go-store/kv"

// tell puts a message into the outbox: an ordinary row, under a key that no other
// message of the store has. Its courier learns of it by its event.
func (t *transaction) tell(m *kv.Mutation, address string, message kv.Message) error {
	message.At = t.now
	row := kv.Row{Group: kv.OutboxPrefix + address, Key: kv.MessageID(t.revision+1, t.told, t.identity),
		Value: message.Encode(), Deadline: kv.NoDeadline}
	t.told++
	return t.put(m, row)
}
