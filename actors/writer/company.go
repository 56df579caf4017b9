package writer

import (
	"runtime"
	"time"
)

// Callers that were answered are about to ask again, but have no processor to do so on while
// the writer keeps one busy: without a wait for the disk in between, as where the disk is fast,
// 64 callers made commits of four requests each, and nearly all of a request was its commit. So
// the writer yields before it commits for several callers, and takes what they have queued.
//
// To wait for a time is not the same: which callers will ask again is not known, and a lone
// caller would wait for none.

// company is what the writer knows of the callers that it commits for. All of it is its own.
type company struct {
	last int  // requests in the last batch
	let  bool // others were let run for the one that is pending
	skip int  // batches before which the writer does not yield
	miss int  // how many that were the last time
	// often rises with each time that others ran for too long, and falls by one when they did not.
	often int
}

const (
	// companyWorth is the least that a COMMIT takes for which it is worth while: those in memory
	// cost less than a switch of goroutines.
	companyWorth = 4 * time.Microsecond
	// companyLong is how long other goroutines may keep the processor; where they do so longer,
	// as those that compute, the writer yields less and less often, once in companyRare batches
	// at last.
	companyLong = time.Millisecond
	companyRare = 1024
	// companyOnce is how many short times make good for a long one.
	companyOnce = 4
)

// letOthers yields to other goroutines, once, before a batch that is likely to gain requests by
// it. It reports whether it has done so.
func (a *Actor) letOthers() bool {
	c := &a.company
	if c.let || c.last < 2 || a.committing < companyWorth {
		c.let = false
		return false
	}
	if c.skip > 0 {
		c.skip--
		return false
	}
	began := time.Now()
	runtime.Gosched()
	c.took(time.Since(began))
	c.let = true
	return true
}

// took notes for how long other goroutines ran. Once is nothing: on a busy machine the process
// may have been descheduled.
func (c *company) took(long time.Duration) {
	if long < companyLong {
		if c.often = max(c.often-1, 0); c.often == 0 {
			c.miss = 0
		}
		return
	}
	if c.often = min(c.often+companyOnce, 2*companyOnce); c.often == 2*companyOnce {
		c.miss = min(max(2*c.miss, companyOnce), companyRare)
		c.skip = c.miss
	}
}
