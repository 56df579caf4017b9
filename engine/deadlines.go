package engine

import "forge.lthn.ai/core/go-store/kv"

// checkDeadlines refuses a mutation that names a deadline, or a time to live with
// an end, that no call may name. It stands at the one door that all of them come
// through, whatever handle they were made on.
func (e *Engine) checkDeadlines(m *kv.Mutation) error {
	if m.Kind != kv.Batch {
		o := m.Operation()
		return e.checkDeadline(&o)
	}
	for i := range m.Operations {
		if err := e.checkDeadline(&m.Operations[i]); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) checkDeadline(o *kv.Operation) error {
	switch {
	case o.HasTTL:
		return kv.CheckTimeToLive(e.clock.Now(), o.TimeToLive)
	case o.HasDeadline:
		return kv.CheckDeadline(o.Deadline)
	default:
		return nil
	}
}
