package api_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	"forge.lthn.ai/core/go-store/api"

	_ "modernc.org/sqlite"
)

// Another program reads the table of a store that is open: Fold has it hold what was written
// before.
func ExampleStore_Fold() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "store.db")
	store, err := api.New(path, api.WithOverlay(32<<20))
	if err != nil {
		panic(err)
	}
	defer store.Close()
	if err := store.Set("config", "theme", "dark"); err != nil {
		panic(err)
	}
	if err := store.Fold(context.Background()); err != nil {
		panic(err)
	}

	other, err := sql.Open("sqlite", path)
	if err != nil {
		panic(err)
	}
	defer other.Close()
	var value string
	if err := other.QueryRow("SELECT entry_value FROM entries WHERE entry_key = 'theme'").Scan(&value); err != nil {
		panic(err)
	}
	fmt.Println(value)
	// Output: dark
}

// Writes are acknowledged once they are in the log, and are in the table later.
func ExampleWithOverlay() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	store, err := api.New(filepath.Join(folder, "store.db"), api.WithOverlay(8<<20))
	if err != nil {
		panic(err)
	}
	if err := store.Set("config", "theme", "dark"); err != nil {
		panic(err)
	}
	fmt.Println(store.Get("config", "theme"))
	if err := store.Close(); err != nil { // from here on the table has all
		panic(err)
	}
	// Output: dark <nil>
}
