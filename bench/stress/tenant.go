package stress

func newTenant(number, callers int) []*cell { return nil }
