package bench_test

import (
	"context"
	"fmt"
	"time"

	"forge.lthn.ai/core/go-store/bench"
	"forge.lthn.ai/core/go-store/bench/store"
)

// Two levels of durability, side by side.
func ExampleRun() {
	plan := bench.DefaultPlan()
	plan.Workloads, _ = bench.SelectWorkloads([]string{"set", "get-missing"})
	plan.Callers, plan.Keys, plan.Rounds = []int{8}, 1_000, 1
	plan.Fit(time.Second, 2)

	contenders := []bench.Contender{store.Contender(store.Memory), store.Contender(store.Buffered)}
	result, err := bench.Run(context.Background(), plan, contenders, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, cell := range result.Cells {
		fmt.Printf("%s, %s: measured %t, ratio %t\n", cell.Workload, cell.Contender, cell.Throughput.Median > 0, cell.Ratio != nil)
	}
	// Output:
	// set, store-memory: measured true, ratio true
	// set, store-buffered: measured true, ratio true
	// get-missing, store-memory: measured true, ratio true
	// get-missing, store-buffered: measured true, ratio true
}
