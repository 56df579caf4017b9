package writer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestOthersAreLetRun before a batch, once, where it is worth while.
func TestOthersAreLetRun(t *testing.T) {
	a := &Actor{committing: companyWorth}
	assert.False(t, a.letOthers(), "no caller had company")
	a.company.last = 2
	a.committing = companyWorth - 1
	assert.False(t, a.letOthers(), "a commit costs nothing")
	a.committing = companyWorth
	for range 3 {
		a.company.skip = 0
		assert.True(t, a.letOthers())
		assert.False(t, a.letOthers(), "the batch is due")
	}
	a.company = company{last: 2, skip: 1}
	assert.False(t, a.letOthers())
	assert.True(t, a.letOthers())
}

// TestComputingCallersAreLetRunLess and less often, but they may have ended.
func TestComputingCallersAreLetRunLess(t *testing.T) {
	var c company
	c.took(companyLong - 1)
	for range 10 { // a busy machine
		c.took(companyLong)
		assert.Zero(t, c.skip)
		for range companyOnce {
			c.took(companyLong - 1)
		}
	}
	c.took(companyLong)
	for _, skip := range []int{4, 8, 16} {
		c.took(companyLong)
		assert.Equal(t, skip, c.skip)
	}
	for range 20 {
		c.took(time.Second)
	}
	assert.Equal(t, companyRare, c.skip)
	c.skip = 0
	for range 2 * companyOnce {
		c.took(0)
		assert.Zero(t, c.skip)
	}
	c.took(companyLong)
	assert.Zero(t, c.skip)
	c.took(companyLong)
	assert.Equal(t, companyOnce, c.skip)
}
