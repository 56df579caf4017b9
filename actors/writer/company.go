package writer

import (
	"runtime"
	"time"
)

// Who was answered is about to ask again, but has no processor to do so on while the writer
// keeps one busy: without a wait for the disk in between, as where the disk is fast, 64 callers
// made commits of four requests each, and nearly all of a request was its commit. So the writer
// lets others run before it commits for several of them, and takes what they have brought along.
//
// To wait for a time is not the same: nobody knows who will ask again, and a lone caller would
// wait for nobody.

// company is what the writer knows of those that it commits for. All of it is its own.
type company struct {
	last int  // requests in the last batch
	let  bool // others were let run for the one that is pending
	skip int  // batches that nobody is let run for
	miss int  // how many that were the last time
	// often rises with each time that others ran for too long, and falls by one when they did not.
	often int
}

const (
	// companyWorth is what a COMMIT takes for which it is worth while: those in memory cost less
	// than to change goroutines.
	companyWorth = 4 * time.Microsecond
	// companyLong is how long others may keep the processor; where they do so longer, as those
	// do that compute, they are let run less and less often, once in companyRare batches at last.
	companyLong = time.Millisecond
	companyRare = 1024
	// companyOnce is how many short times make good for a long one.
	companyOnce = 4
)

// letOthers lets others run, once, before a batch that is likely to be in company. It reports
// whether it has done so.
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

// took notes for how long others ran. Once is nothing: a machine that is busy may take the
// processor away from anybody.
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
