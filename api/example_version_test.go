package api_test

import (
	"fmt"
	"strings"

	"forge.lthn.ai/core/go-store/api"
)

func ExampleSQLiteVersion() {
	fmt.Println(strings.HasPrefix(api.SQLiteVersion(), "3."))
	// Output: true
}

func ExampleSchemaVersion() {
	fmt.Println(api.SchemaVersion() > 0)
	// Output: true
}
