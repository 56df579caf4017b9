package scsstore_test

import (
	"testing"

	"go.uber.org/goleak"
)

// scs.New begins with a store of its own, whose goroutine outlives the example.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}
