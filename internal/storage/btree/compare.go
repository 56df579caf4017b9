package btree

import (
	"bytes"
	"cmp"
	"math"

	"forge.lthn.ai/core/go-store/internal/storage/pages"
)

// compareValues is SQLite's order: NULL, numbers, text, BLOBs.
func compareValues(a, b *Value) int {
	if d := cmp.Compare(class(a.Kind), class(b.Kind)); d != 0 {
		return d
	}
	switch {
	case a.Kind == pages.Integer && b.Kind == pages.Integer:
		return cmp.Compare(a.Int, b.Int)
	case a.Kind == pages.Integer && b.Kind == pages.Float:
		return compareNumbers(a.Int, b.Float)
	case a.Kind == pages.Float && b.Kind == pages.Integer:
		return -compareNumbers(b.Int, a.Float)
	case a.Kind == pages.Float:
		return cmp.Compare(a.Float, b.Float)
	}
	return bytes.Compare(a.Bytes, b.Bytes) // NULLs have none
}

func class(k pages.Kind) int {
	switch k {
	case pages.Integer, pages.Float:
		return 1
	case pages.Text:
		return 2
	case pages.Blob:
		return 3
	}
	return 0
}

// compareNumbers compares exactly: not every integer is a float.
func compareNumbers(n int64, f float64) int {
	switch {
	case f < math.MinInt64:
		return 1
	case f >= math.MaxInt64: // which is 1<<63 as a float
		return -1
	}
	if d := cmp.Compare(n, int64(f)); d != 0 {
		return d
	}
	return cmp.Compare(float64(int64(f)), f)
}
