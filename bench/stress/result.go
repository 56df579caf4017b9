package stress

import "time"

// Result is what a run came to.
type Result struct {
	Seed       uint64               `json:"seed"`
	Steps      uint64               `json:"steps"`
	Writes     uint64               `json:"writes"`
	Findings   []Finding            `json:"findings"`
	Violations map[Violation]uint64 `json:"violations"`

	loading time.Duration
}

func (r *run) result(loading time.Duration, a *audience) Result {
	r.findings.mu.Lock()
	defer r.findings.mu.Unlock()
	return Result{Seed: r.config.Seed, Steps: r.steps.Load(), Writes: r.writes.Load(),
		Findings: r.findings.mu.first, Violations: r.findings.mu.counts, loading: loading}
}
