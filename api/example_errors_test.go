package api_test

import (
	"errors"
	"fmt"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// A deadline in microseconds that is taken for milliseconds lies tens of thousands
// of years ahead: it is refused, and nothing is written.
func Example_invalidDeadline() {
	store, err := api.New(":memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	const microseconds = 1_900_000_000_000_000
	_, err = store.Batch(new(api.Batch).SetUntil("sessions", "ann", "v", time.UnixMilli(microseconds)))
	fmt.Println(errors.Is(err, api.InvalidDeadlineError))
	// Output: true
}

// A store that is nil says so instead of panicking.
func Example_nilStore() {
	var store *api.Store
	_, err := store.Get("group", "key")
	fmt.Println(errors.Is(err, api.NilStoreError), err)
	// Output: true store.Get: group/key: store instance is nil
}
