package histories

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func appends(list, value string) access { return access{List: list, Append: value} }

func reads(list string, values ...string) access { return access{List: list, Read: values} }

func did(call, returned int64, accesses ...access) *transaction {
	return &transaction{name: "t", call: call, returned: returned, accesses: accesses}
}

func ended(t *transaction, o outcome) *transaction { t.outcome = o; return t }

// The judge finds every kind of fault, and nothing where there is none.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		history []*transaction
		says    string
	}{
		"one after the other": {[]*transaction{
			did(1, 2, appends("x", "1")), did(3, 4, reads("x", "1"), appends("x", "2"), reads("x", "1", "2")), did(5, 6, reads("x", "1", "2")),
		}, ""},
		"at once, in either order": {[]*transaction{
			did(1, 9, appends("x", "1")), did(2, 8, appends("x", "2")), did(3, 7, reads("x", "2")), did(10, 11, reads("x", "2", "1")),
		}, ""},
		"an unknown one that happened later": {[]*transaction{
			ended(did(1, 2, appends("x", "1")), unknown), did(3, 4, reads("x")), did(5, 6, reads("x", "1")),
		}, ""},
		"an unknown one that did not happen": {[]*transaction{
			ended(did(1, 2, appends("x", "1")), unknown), did(3, 4, reads("x")),
		}, ""},
		"a lost append":    {[]*transaction{did(1, 2, appends("x", "1")), did(3, 4, reads("x"))}, "1 is lost"},
		"half of it":       {[]*transaction{ended(did(1, 2, appends("x", "1"), appends("y", "2")), unknown), did(3, 4, reads("x", "1"), reads("y"))}, "2 is lost"},
		"a refused append": {[]*transaction{ended(did(1, 2, appends("x", "1")), refused), did(3, 4, reads("x", "1"))}, "was refused"},
		"from nowhere":     {[]*transaction{did(3, 4, reads("x", "1"))}, "nobody"},
		"half-way": {[]*transaction{
			did(1, 9, appends("x", "1"), appends("x", "2")), did(2, 8, reads("x", "1")), did(10, 11, reads("x", "1", "2")),
		}, "half-way"},
		"two orders": {[]*transaction{
			did(1, 9, appends("x", "1")), did(1, 9, appends("x", "2")), did(2, 8, reads("x", "2")), did(10, 11, reads("x", "1", "2")),
		}, "was [2] and [1 2]"},
		"not its own": {[]*transaction{did(1, 2, appends("x", "1"), reads("x")), did(3, 4, reads("x", "1"))}, "does not see"},
		"a lost update": {[]*transaction{
			did(1, 9, reads("x"), appends("x", "1")), did(1, 9, reads("x"), appends("x", "2")), did(10, 11, reads("x", "1", "2")),
		}, "no order"},
		"write skew": {[]*transaction{
			did(1, 9, reads("x"), appends("y", "1")), did(1, 9, reads("y"), appends("x", "2")), did(10, 11, reads("x", "2"), reads("y", "1")),
		}, "no order"},
		"a fractured read": {[]*transaction{
			did(1, 9, appends("x", "1"), appends("y", "2")), did(2, 8, reads("x", "1"), reads("y")), did(10, 11, reads("x", "1"), reads("y", "2")),
		}, "no order"},
		"a stale read": {[]*transaction{
			did(1, 2, appends("x", "1")), did(3, 4, reads("x")), did(5, 6, reads("x", "1")),
		}, "no order"},
		"seen, and not seen later": {[]*transaction{
			did(1, 20, appends("x", "1")), did(3, 4, reads("x", "1")), did(5, 6, reads("x")), did(21, 22, reads("x", "1")),
		}, "no order"},
	} {
		t.Run(name, func(t *testing.T) {
			err := judge(c.history)
			if c.says == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.says)
			}
		})
	}
}
