package histories

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A history is judged as Elle does it (Kingsbury and Alvaro, 2020). Transactions append
// values to lists, each value once, and read whole lists. So a list that was read says
// which transactions have changed it, and in which order; from that follow, for every
// two transactions that touch a list, which of them came first. There is a serial order
// if these relations have no cycle, and one that agrees with real time if they have none
// together with "returned before the other one was called".

// outcome is what a caller knows.
type outcome int

const (
	committed outcome = iota
	refused           // nothing of it was done
	unknown           // it was done or not
)

// access is one step of a transaction: it appends to a list or reads it.
type access struct {
	List   string
	Append string   // the value; "" for a read
	Read   []string // what a read has found
}

// transaction is one call.
type transaction struct {
	name           string
	accesses       []access
	outcome        outcome
	call, returned int64 // in the order of a clock that all clients share
}

func (t *transaction) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s [%d..%d]", t.name, t.call, t.returned)
	for _, a := range t.accesses {
		if a.Append != "" {
			fmt.Fprintf(&b, " append %s to %s;", a.Append, a.List)
		} else {
			fmt.Fprintf(&b, " %s is %v;", a.List, a.Read)
		}
	}
	return b.String()
}

// checker joins what the transactions of a history say.
type checker struct {
	transactions []*transaction
	orders       map[string][]string     // of each list: the longest that was read
	writers      map[string]*transaction // by list and value
	edges        [][]edge                // by the number of the earlier one; behind the transactions, moments
}

type edge struct {
	to   int
	kind string
}

// judge says what is wrong with a history, nil if nothing is. Its last transactions
// must have read every list, when all others had returned.
func judge(history []*transaction) error {
	c := &checker{transactions: history, orders: map[string][]string{}, writers: map[string]*transaction{}}
	for _, step := range []func() error{c.write, c.order, c.complete, c.within} {
		if err := step(); err != nil {
			return err
		}
	}
	c.relate()
	return c.acyclic()
}

func at(list, value string) string { return list + " " + value }

// write finds which transaction wrote what.
func (c *checker) write() error {
	for _, t := range c.transactions {
		for _, a := range t.accesses {
			if a.Append == "" {
				continue
			}
			if other := c.writers[at(a.List, a.Append)]; other != nil {
				return fmt.Errorf("the history appends %s twice to %s", a.Append, a.List)
			}
			c.writers[at(a.List, a.Append)] = t
		}
	}
	return nil
}

// order finds the order of each list's values: all that was read of it are beginnings
// of the longest.
func (c *checker) order() error {
	for _, t := range c.transactions {
		if t.outcome == committed {
			for _, a := range t.accesses {
				if a.Append == "" && len(a.Read) > len(c.orders[a.List]) {
					c.orders[a.List] = a.Read
				}
			}
		}
	}
	for list, values := range c.orders {
		seen := map[string]bool{}
		for _, value := range values {
			writer := c.writers[at(list, value)]
			switch {
			case writer == nil:
				return fmt.Errorf("nobody has appended %s to %s, and it was read", value, list)
			case writer.outcome == refused:
				return fmt.Errorf("this was refused, and %s was read: %v", value, writer)
			case seen[value]:
				return fmt.Errorf("%s is twice in %s", value, list)
			}
			seen[value] = true
		}
	}
	return nil
}

// complete looks for what is missing in the end: an acknowledged append, or a part of
// a transaction.
func (c *checker) complete() error {
	for _, t := range c.transactions {
		there, gone := 0, ""
		for _, a := range t.accesses {
			switch {
			case a.Append == "":
			case slices.Contains(c.orders[a.List], a.Append):
				there++
			default:
				gone = a.Append
			}
		}
		if gone != "" && (t.outcome == committed || there > 0) {
			return fmt.Errorf("%s is lost, of %v", gone, t)
		}
		if t.outcome == unknown && there == 0 {
			t.outcome = refused // it has not happened, or no read can tell
		} else if t.outcome == unknown {
			t.returned = math.MaxInt64
		}
	}
	return nil
}

// within checks each read against the order, and against what its own transaction did
// before it.
func (c *checker) within() error {
	for _, t := range c.transactions {
		if t.outcome != committed {
			continue
		}
		before := map[string]int{} // how long the list was, without what t has appended
		own := map[string]int{}
		for _, a := range t.accesses {
			if a.Append != "" {
				own[a.List]++
				continue
			}
			order := c.orders[a.List]
			if !slices.Equal(order[:min(len(a.Read), len(order))], a.Read) {
				return fmt.Errorf("%s was %v and %v: %v", a.List, a.Read, order, t)
			}
			n := len(a.Read) - own[a.List]
			if was, known := before[a.List]; known && was != n {
				return fmt.Errorf("within a transaction %s has changed: %v", a.List, t)
			}
			before[a.List] = n
			for _, value := range a.Read[max(n, 0):] {
				if c.writers[at(a.List, value)] != t {
					return fmt.Errorf("a transaction does not see what it has appended to %s: %v", a.List, t)
				}
			}
			if n < 0 || n > 0 && c.writers[at(a.List, a.Read[n-1])] == t {
				return fmt.Errorf("a transaction does not see what it has appended to %s, or sees what it will: %v", a.List, t)
			}
			// What others append in one transaction comes at once.
			if n > 0 && n < len(order) && c.writers[at(a.List, order[n-1])] == c.writers[at(a.List, order[n])] {
				return fmt.Errorf("%s was read half-way through %v: %v", a.List, c.writers[at(a.List, order[n])], t)
			}
		}
	}
	return nil
}

// relate notes what must have come before what.
func (c *checker) relate() {
	c.edges = make([][]edge, len(c.transactions))
	number := map[*transaction]int{}
	for i, t := range c.transactions {
		number[t] = i
	}
	before := func(a, b *transaction, kind string) {
		if a != b && a != nil && b != nil {
			c.edges[number[a]] = append(c.edges[number[a]], edge{number[b], kind})
		}
	}
	for list, order := range c.orders {
		for i := 1; i < len(order); i++ {
			before(c.writers[at(list, order[i-1])], c.writers[at(list, order[i])], "appended to "+list+" before")
		}
	}
	for _, t := range c.transactions {
		if t.outcome != committed {
			continue
		}
		own := map[string]int{}
		for _, a := range t.accesses {
			if a.Append != "" {
				own[a.List]++
				continue
			}
			order, n := c.orders[a.List], len(a.Read)-own[a.List]
			if n > 0 {
				before(c.writers[at(a.List, order[n-1])], t, "appended to "+a.List+" what was read by")
			}
			if n < len(order) {
				before(t, c.writers[at(a.List, order[n])], "read "+a.List+" before the append by")
			}
		}
	}
	c.relateTime()
}

// relateTime joins each transaction that has returned to those called later, by way of the
// moments of all returns: each comes before the next one.
func (c *checker) relateTime() {
	var returned, called []int
	for i, t := range c.transactions {
		if t.outcome != refused {
			called = append(called, i)
			if t.returned < math.MaxInt64 {
				returned = append(returned, i)
			}
		}
	}
	slices.SortFunc(returned, func(a, b int) int { return int(c.transactions[a].returned - c.transactions[b].returned) })
	slices.SortFunc(called, func(a, b int) int { return int(c.transactions[a].call - c.transactions[b].call) })
	next, first := 0, len(c.transactions)
	for _, i := range called {
		for next < len(returned) && c.transactions[returned[next]].returned < c.transactions[i].call {
			c.edges = append(c.edges, nil)
			moment := first + next
			c.edges[returned[next]] = append(c.edges[returned[next]], edge{moment, "returned before the call of"})
			if next > 0 {
				c.edges[moment-1] = append(c.edges[moment-1], edge{moment, ""})
			}
			next++
		}
		if next > 0 {
			c.edges[first+next-1] = append(c.edges[first+next-1], edge{i, ""})
		}
	}
}

// acyclic takes away what nothing comes before, until nothing is left, or a cycle.
func (c *checker) acyclic() error {
	before := make([]int, len(c.edges))
	for _, edges := range c.edges {
		for _, e := range edges {
			before[e.to]++
		}
	}
	var free []int
	left := len(c.edges)
	for i, n := range before {
		if n == 0 {
			free = append(free, i)
		}
	}
	for len(free) > 0 {
		i := free[len(free)-1]
		free = free[:len(free)-1]
		left--
		for _, e := range c.edges[i] {
			if before[e.to]--; before[e.to] == 0 {
				free = append(free, e.to)
			}
		}
	}
	if left == 0 {
		return nil
	}
	return c.cycle(before)
}

// cycle finds a shortest one among those that something comes before for ever.
func (c *checker) cycle(before []int) error {
	var best []string
	for start := range c.transactions {
		if before[start] == 0 {
			continue
		}
		from := map[int]int{}
		kinds := map[int]string{}
		queue := []int{start}
	search:
		for len(queue) > 0 {
			i := queue[0]
			queue = queue[1:]
			for _, e := range c.edges[i] {
				if e.to == start {
					path := []string{e.kind}
					for ; i != start; i = from[i] {
						path = append(path, c.describe(i), kinds[i])
					}
					path = append(path, c.describe(start))
					slices.Reverse(path)
					if best == nil || len(path) < len(best) {
						best = path
					}
					break search
				}
				if _, seen := from[e.to]; !seen && before[e.to] > 0 {
					from[e.to], kinds[e.to] = i, e.kind
					queue = append(queue, e.to)
				}
			}
		}
	}
	return fmt.Errorf("no order explains this, in which each comes before the next, and the last before the first:\n%s",
		strings.Join(slices.DeleteFunc(best, func(s string) bool { return s == "" }), "\n"))
}

func (c *checker) describe(i int) string {
	if i >= len(c.transactions) {
		return ""
	}
	return "  " + c.transactions[i].String()
}
