package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// Schema names the form of a Result in JSON. It changes when a field changes
// its meaning or goes; new fields do not change it. docs/benchmarks/json.md lists
// the fields, and a test compares.
const Schema = "go-store-bench/1"

// Result is all that a run found out. Times are in nanoseconds where a field's
// name ends in _ns and in seconds where it ends in _s.
type Result struct {
	Schema      string          `json:"schema"`
	Command     string          `json:"command,omitempty"`
	Started     time.Time       `json:"started"`
	Elapsed     float64         `json:"elapsed_s"`
	Interrupted bool            `json:"interrupted"`
	Machine     Machine         `json:"machine"`
	Plan        PlanResult      `json:"plan"`
	Harness     Calibration     `json:"harness"`
	Contenders  []ContenderInfo `json:"contenders"`
	Cells       []Cell          `json:"cells"`
}

// Machine is where the run took place.
type Machine struct {
	OS        string  `json:"os"`
	Arch      string  `json:"arch"`
	Processor string  `json:"processor,omitempty"`
	Cores     int     `json:"cores"`
	Go        string  `json:"go"`
	Folder    string  `json:"folder"`
	SyncNs    float64 `json:"sync_ns"` // the median time to append 4 KiB to a file there and sync it
}

// PlanResult is the plan as it was carried out.
type PlanResult struct {
	Seed         uint64  `json:"seed"`
	Keys         int     `json:"keys"`
	ValueSize    string  `json:"value_size"`
	Distribution string  `json:"distribution"`
	Sorted       bool    `json:"sorted,omitempty"` // the keys were loaded in the order of their names
	Rate         float64 `json:"rate,omitempty"`   // calls a second; 0: closed loop
	Rounds       int     `json:"rounds"`
	Round        float64 `json:"round_s"`
	WarmUp       float64 `json:"warm_up_s"`
	Expiring     int     `json:"expiring_keys"`
}

// Calibration is what the harness itself costs: each figure is that of a
// workload against a target that does nothing.
type Calibration struct {
	Callers int     `json:"callers"`
	SetNs   float64 `json:"set_ns"` // elapsed time ÷ operations
	GetNs   float64 `json:"get_ns"`
	SetCPU  float64 `json:"set_cpu_ns"` // processor time ÷ operations
	GetCPU  float64 `json:"get_cpu_ns"`
}

// ContenderInfo is a contender as tables show it.
type ContenderInfo struct {
	Name       string `json:"name"`
	Durability string `json:"durability"`
	Note       string `json:"note,omitempty"`
}

// Cell is one contender at one workload with one number of callers.
type Cell struct {
	Workload  string  `json:"workload"`
	Callers   int     `json:"callers"`
	Contender string  `json:"contender"`
	Cannot    string  `json:"cannot,omitempty"` // why this contender can't do it; then there is nothing else
	Failed    string  `json:"failed,omitempty"` // what went wrong; then the figures are those before
	Rounds    []Round `json:"rounds,omitempty"`
	// Throughput is operations a second, a round's Close included if the
	// workload writes.
	Throughput Spread `json:"throughput"`
	// Ratio is this contender's throughput ÷ that of the first contender that
	// can do the workload, round by round.
	Ratio   *Spread            `json:"ratio,omitempty"`
	Beside  *Beside            `json:"beside,omitempty"`
	Latency map[string]Latency `json:"latency,omitempty"` // by kind of operation: all, read, write, scan
	// Lateness is how late the machine's timers woke callers that were free,
	// at a fixed rate. It is part of Latency.
	Lateness *Latency `json:"lateness,omitempty"`
	// Unserved is how many calls were due and not begun when their round ended,
	// at a fixed rate. Latency counts each as waiting until then.
	Unserved  int64     `json:"unserved,omitempty"`
	Delivery  *Delivery `json:"delivery,omitempty"`
	Expiry    *Delivery `json:"expiry,omitempty"`
	Batches   []Bucket  `json:"batches,omitempty"`
	Conflicts uint64    `json:"conflicts,omitempty"`
}

// Beside is a workload's throughput ÷ that of something else on the same store, in turn
// with it, round by round.
type Beside struct {
	What  string `json:"what"`
	Ratio Spread `json:"ratio"`
}

// Round is one measurement.
type Round struct {
	Operations int64   `json:"operations"`
	Seconds    float64 `json:"seconds"` // without Close
	Close      float64 `json:"close_s"` // 0 if its time does not count
	Open       float64 `json:"open_s"`  // never part of the time
	// Written is how many bytes the process had written to disk meanwhile, what Close wrote
	// included if its time counts; 0 where the system does not tell it.
	Written int64 `json:"written_bytes,omitempty"`
	// Given is how many bytes of keys and values the callers set; 0 if the workload's writes
	// are not Sets of records.
	Given int64 `json:"given_bytes,omitempty"`
}

// throughput is operations a second.
func (r Round) throughput() float64 { return float64(r.Operations) / (r.Seconds + r.Close) }

// Spread is a median with the least and the greatest of several rounds.
type Spread struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	middle := sorted[half]
	if len(sorted)%2 == 0 {
		middle = (sorted[half-1] + middle) / 2
	}
	return Spread{middle, sorted[0], sorted[len(sorted)-1]}
}

// Latency is a distribution of times, in nanoseconds.
type Latency struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean_ns"`
	P50   int64   `json:"p50_ns"`
	P90   int64   `json:"p90_ns"`
	P99   int64   `json:"p99_ns"`
	P999  int64   `json:"p999_ns"`
	Max   int64   `json:"max_ns"`
	// Curve is for charts: the time at each of Quantiles, as far as there were
	// enough values to tell them apart.
	Curve []int64 `json:"curve_ns,omitempty"`
}

// Quantiles are those of Latency.Curve.
var Quantiles = []float64{0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 0.99999}

// Delivery is what became of events: changes pushed to watchers and
// subscribers, or expired keys removed.
type Delivery struct {
	Receivers int     `json:"receivers"`
	Expected  int64   `json:"expected"`
	Received  int64   `json:"received"`
	Dropped   int64   `json:"dropped"` // Expected - Received
	Silent    bool    `json:"silent"`  // drops were not told of
	Latency   Latency `json:"latency"` // from the write's begin, or the deadline, to the receipt
}

// Bucket counts the commits of one size.
type Bucket struct {
	Size  int   `json:"size"` // writes in a commit
	Count int64 `json:"count"`
}

// WriteJSON writes the result as one indented JSON object.
func (r *Result) WriteJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// ReadJSON reads what WriteJSON wrote.
func ReadJSON(in io.Reader) (*Result, error) {
	var result Result
	if err := json.NewDecoder(in).Decode(&result); err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	if result.Schema != Schema {
		return nil, fmt.Errorf("read result: schema %q: this program reads %q", result.Schema, Schema)
	}
	return &result, nil
}

// Failures are the cells that went wrong, in one line each.
func (r *Result) Failures() []string {
	var failures []string
	for _, cell := range r.Cells {
		if cell.Failed != "" {
			failures = append(failures, fmt.Sprintf("%s, %s, %d callers: %s", cell.Contender, cell.Workload, cell.Callers, cell.Failed))
		}
	}
	return failures
}
