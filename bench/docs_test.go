package bench

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The page that documents the JSON knows every field, and the page that lists
// the workloads every one of them.
func TestDocs_AreComplete(t *testing.T) {
	page, err := os.ReadFile("../docs/benchmarks/json.md")
	require.NoError(t, err)
	harness, err := os.ReadFile("../docs/benchmarks/harness.md")
	require.NoError(t, err)
	documented := fields(reflect.TypeFor[Result](), "")
	documented = append(documented, fields(reflect.TypeFor[Spread](), "spread.")...)
	documented = append(documented, fields(reflect.TypeFor[Latency](), "latency.")...)
	documented = append(documented, fields(reflect.TypeFor[Delivery](), "delivery.")...)
	for _, field := range documented {
		assert.Contains(t, string(page), "| `"+field+"` |", "docs/benchmarks/json.md does not document a field")
	}
	for _, w := range Workloads() {
		assert.Contains(t, string(harness), "| `"+w.Name+"` | "+w.About+" |", "docs/benchmarks/harness.md does not list a workload")
	}
	assert.Contains(t, string(page), Schema)
}

// fields are the paths of all fields in JSON. What is documented once, a
// spread or a latency, is not followed.
func fields(structure reflect.Type, path string) []string {
	var all []string
	for i := range structure.NumField() {
		field := structure.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		inner, suffix := field.Type, ""
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map {
			if inner.Kind() == reflect.Slice {
				suffix = "[]"
			}
			inner = inner.Elem()
		}
		at := path + name + suffix
		switch {
		case inner == reflect.TypeFor[Spread](), inner == reflect.TypeFor[Latency](), inner == reflect.TypeFor[Delivery]():
			all = append(all, at)
		case inner.Kind() == reflect.Struct && inner != reflect.TypeFor[time.Time]():
			all = append(all, fields(inner, at+".")...)
		default:
			all = append(all, at)
		}
	}
	return all
}
