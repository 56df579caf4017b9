package persistence

// SetDeletes has a provider delete so many rows in a commit.
func SetDeletes(p *Provider, rows int) { p.deletes = rows }
