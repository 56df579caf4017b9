package bench

import "errors"

var errPairMissing = errors.New("bench: a transaction did not find a key that is there")

var transactionWorkloads = []Workload{
	{
		Name: "transaction", About: "read two keys and write both, as one transaction",
		Writes: true, Needs: []Need{NeedTransaction}, data: records,
		begin: func(s *session) (*work, error) {
			transactor := s.target.(Transactor)
			before := transactor.Conflicts()
			return &work{
				step:   func(c *Caller) (Kind, error) { return Write, s.swap(c, transactor) },
				start:  func() { before = transactor.Conflicts() },
				settle: func(m *measurement) error { m.conflicts = transactor.Conflicts() - before; return nil },
			}, nil
		},
	},
}

// swap reads two keys and writes both. Values are made outside the function,
// which may run more than once.
func (s *session) swap(c *Caller, transactor Transactor) error {
	first := c.Keys.next(c.Random, s.plan.Keys)
	other := (first + 1 + c.Random.IntN(s.plan.Keys-1)) % s.plan.Keys
	names := [2]string{s.keys.name(first), s.keys.name(other)}
	values := [2]string{s.sizes.value(c.Random), s.sizes.value(c.Random)}
	return transactor.Transaction(func(tx Transaction) error {
		for _, name := range names {
			if _, found, err := tx.Get(dataGroup, name); err != nil || !found {
				return errors.Join(err, missingIf(!found))
			}
		}
		for i, name := range names {
			if err := tx.Set(dataGroup, name, values[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func missingIf(missing bool) error {
	if missing {
		return errPairMissing
	}
	return nil
}
