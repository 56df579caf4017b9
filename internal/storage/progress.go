package storage

// Progress is told how much of an operation is done, in bytes. It may be nil. It
// is called by the operation's goroutine, which waits for it.
type Progress func(done, total int64)

// Report tells it, if there is one.
func (p Progress) Report(done, total int64) {
	if p != nil {
		p(done, total)
	}
}
