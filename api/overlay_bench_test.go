package api_test

import (
	"fmt"
	"testing"

	"forge.lthn.ai/core/go-store/api"
)

// BenchmarkRatio_Overlay compares durable Sets of any of 100,000 keys whose commits write
// the log alone with those that write the table at once, and Gets of both, without a read
// cache. The smaller the better.
func BenchmarkRatio_Overlay(b *testing.B) {
	open := func(bytes int64) benchDesign {
		name := "overlay"
		if bytes == 0 {
			name = "table"
		}
		return benchDesign{name, func(path string) (benchStore, error) {
			return api.New(path, api.WithOverlay(bytes), api.WithReadCache(0))
		}}
	}
	const bound = 32 << 20
	for _, work := range []struct {
		name string
		call func(benchStore, []string) func(*benchCaller) (int, error)
	}{{"Set", setRandom}, {"Get", getRandom}} {
		for _, callers := range []int{1, benchCallers, 512} {
			if work.name == "Get" && callers == 512 {
				continue
			}
			b.Run(fmt.Sprintf("%s/callers=%d", work.name, callers), func(b *testing.B) {
				keys := benchKeys(scaled(manyKeys))
				var sides []side
				for _, design := range []benchDesign{open(bound), open(0)} {
					call := work.call(openBench(b, design, "", keys), keys)
					sides = append(sides, side{design.name, func() measurement { return hammer(b, callers, call) }})
				}
				ratio(b, "less than 1", sides[0], sides[1])
			})
		}
	}
}
