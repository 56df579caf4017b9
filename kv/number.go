package kv

import (
	"fmt"
	"strconv"
)

// Add is a value, which must be a decimal integer if it is there, plus delta.
// Its error is a NotANumberError. What an increment would not have written is
// none of its numbers: it would come back in another form ("007" as "8").
func Add(value string, there bool, delta int64) (sum int64, err error) {
	number := int64(0)
	if there {
		number, err = strconv.ParseInt(value, 10, 64)
		if err != nil || strconv.FormatInt(number, 10) != value {
			return 0, fmt.Errorf("the value is no decimal integer of 64 bits in its shortest form: %w", NotANumberError)
		}
	}
	sum = number + delta
	if (sum > number) != (delta > 0) && delta != 0 {
		return 0, fmt.Errorf("%d and %d exceed 64 bits: %w", number, delta, NotANumberError)
	}
	return sum, nil
}
