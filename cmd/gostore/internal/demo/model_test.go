package demo

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCell_ValuesTellTheirNumber(t *testing.T) {
	c := &cell{text: "ssh: The #1 protocol #2"}
	for _, n := range []uint64{1, 2, 3, 10, 1 << 60} {
		got, ok := c.number(c.value(n))
		assert.True(t, ok)
		assert.Equal(t, n, got)
	}
	for _, value := range []string{"", "ssh", c.text + " #1", c.text + " #02", c.text + " #", c.text + "3", c.text + " #-3", "x" + c.value(2)} {
		_, ok := c.number(value)
		assert.False(t, ok, value)
	}
}

func TestCell_Judge(t *testing.T) {
	c := &cell{group: "g", key: "k", text: "t"}
	const absent, present = 0, 1
	for name, test := range map[string]struct {
		found         uint64 // the number of the write; 0: not found
		acked, issued uint64
		left          uint64 // whether the acknowledged write left a value
		wrong         string
	}{
		"never written":            {0, 0, 0, absent, ""},
		"what was written":         {3, 3, 3, present, ""},
		"a write under way":        {4, 3, 4, present, ""},
		"still the one before":     {3, 3, 4, present, ""},
		"deleted":                  {0, 3, 3, absent, ""},
		"perhaps just deleted":     {0, 3, 4, present, ""},
		"written after a deletion": {4, 3, 4, absent, ""},
		"lost":                     {0, 3, 3, present, "g/k: not found, though write 3 was acknowledged"},
		"stale":                    {2, 3, 4, present, "g/k: found write 2 after write 3 was acknowledged"},
		"back from the dead":       {2, 3, 3, absent, "g/k: found write 2 after write 3 was acknowledged"},
		"a deletion with a value":  {3, 3, 4, absent, "g/k: found a value that was refused or deleted"},
		"from the future":          {5, 3, 4, present, "g/k: found write 5, the last that may show is 4"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.wrong, c.judge(c.value(test.found), test.found > 0, test.acked<<1|test.left, test.issued))
		})
	}
	assert.Equal(t, `g/k: found "other", which nobody wrote`, c.judge("other", true, 0, 0))
}

func TestNewModel_KeysAreBoundedAndOwnedOnce(t *testing.T) {
	m := newModel()
	newTenant(m)
	assert.Len(t, m.all, 2*len(m.assigned)+tenantTeams*teamKeys)
	for _, cells := range m.written {
		assert.NotEmpty(t, cells)
	}
}

func TestFindings_KeepTheFirstFew(t *testing.T) {
	var f findings
	for i := range 25 {
		f.add("finding %d", i)
	}
	assert.Len(t, f.mu.first, 10)
	assert.Equal(t, 25, f.mu.count)
}

func TestThousands(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		assert.Equal(t, want, thousands(n))
	}
}
