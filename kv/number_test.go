package kv

import (
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAdd(t *testing.T) {
	for _, c := range []struct {
		value string
		there bool
		delta int64
		want  int64
	}{
		{"", false, 5, 5},
		{"not looked at", false, -5, -5},
		{"0", true, 0, 0},
		{"5", true, -7, -2},
		{"-5", true, 7, 2},
		{"9223372036854775806", true, 1, math.MaxInt64},
		{"-9223372036854775807", true, -1, math.MinInt64},
		{"9223372036854775807", true, math.MinInt64, -1},
		{"", false, math.MinInt64, math.MinInt64},
	} {
		sum, err := Add(c.value, c.there, c.delta)
		require.NoError(t, err, "%q", c.value)
		require.Equal(t, c.want, sum, "%q", c.value)
	}
}

// What is no number, and what an increment would not have written, is refused.
func TestAddRefuses(t *testing.T) {
	for _, value := range []string{"", " ", "+5", " 5", "5 ", "5\n", "0x5", "0b1", "05", "-0", "00", "1_000", "1e3", "5.0",
		"five", "--5", "٥", "5\x00", "9223372036854775808", "-9223372036854775809"} {
		_, err := Add(value, true, 0)
		require.ErrorIs(t, err, NotANumberError, "%q", value)
	}
	for _, c := range [][2]int64{{math.MaxInt64, 1}, {math.MinInt64, -1}, {1, math.MaxInt64}, {-1, math.MinInt64},
		{math.MaxInt64, math.MaxInt64}, {math.MinInt64, math.MinInt64}} {
		_, err := Add(strconv.FormatInt(c[0], 10), true, c[1])
		require.ErrorIs(t, err, NotANumberError, "%v", c)
	}
}
