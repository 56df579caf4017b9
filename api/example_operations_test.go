package api_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"

	"forge.lthn.ai/core/go-store/api"
)

// A backup is one plain file, which New opens.
func ExampleStore_Backup() {
	folder, err := os.MkdirTemp("", "go-store")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	store, err := api.New(":memory:") // or a file, while it is written to
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(store.Set("greetings", "en", "hello"))

	path := filepath.Join(folder, "backup.db")
	fmt.Println(store.Backup(context.Background(), path))

	backup, err := api.New(path, api.WithReadOnly())
	if err != nil {
		log.Fatal(err)
	}
	defer backup.Close()
	fmt.Println(backup.Get("greetings", "en"))
	// Output:
	// <nil>
	// <nil>
	// hello <nil>
}

// Restore takes the place of a store that is closed.
func ExampleRestore() {
	folder, err := os.MkdirTemp("", "go-store")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path, backup := filepath.Join(folder, "app.db"), filepath.Join(folder, "backup.db")
	store, err := api.New(path)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	fmt.Println(store.Set("config", "theme", "dark"), store.Backup(ctx, backup))
	fmt.Println(store.Set("config", "theme", "a mistake"))

	var locked *api.LockedError
	fmt.Println("in use:", errors.As(api.Restore(ctx, path, backup), &locked))
	fmt.Println(store.Close(), api.Restore(ctx, path, backup))

	if store, err = api.New(path); err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(store.Get("config", "theme"))
	// Output:
	// <nil> <nil>
	// <nil>
	// in use: true
	// <nil> <nil>
	// dark <nil>
}

func ExampleStore_Check() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(store.Set("greetings", "en", "hello"))
	report, err := store.Check(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, finding := range report.Findings {
		fmt.Println(finding)
	}
	fmt.Println("whole:", report.Whole(), "entries:", report.Entries)
	// Output:
	// <nil>
	// whole: true entries: 1
}

func ExampleStore_Compact() {
	folder, err := os.MkdirTemp("", "go-store")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	store, err := api.New(filepath.Join(folder, "app.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	items := make([]api.Item, 5000)
	for i := range items {
		items[i] = api.Item{Group: "sessions", Key: strconv.Itoa(i), Value: "some value"}
	}
	ctx := context.Background()
	fmt.Println(store.SetAll(items), store.Fold(ctx), store.DeleteGroup("sessions"))

	sizes, err := store.Compact(ctx)
	fmt.Println("smaller:", sizes.After < sizes.Before, err)
	// Output:
	// <nil> <nil> <nil>
	// smaller: true <nil>
}

func ExampleSalvage() {
	folder, err := os.MkdirTemp("", "go-store")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path, saved := filepath.Join(folder, "app.db"), filepath.Join(folder, "saved.db")
	store, err := api.New(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Set("config", "theme", "dark"), store.Close())
	wreck(path)

	report, err := api.Salvage(context.Background(), path, saved)
	fmt.Println("entries:", report.Entries, "whole:", len(report.Findings) == 0, err)
	// Output:
	// <nil> <nil>
	// entries: 1 whole: false <nil>
}

// wreck destroys a database's first page.
func wreck(path string) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := file.WriteAt(make([]byte, 4096), 0); err != nil {
		log.Fatal(err)
	}
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
}

// An operation tells how far it has come.
func ExampleWithProgress() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Set("greetings", "en", "hello"); err != nil {
		log.Fatal(err)
	}
	last := 0.0
	show := api.WithProgress(func(done, total int64) { last = float64(done) / float64(max(total, 1)) })
	report, err := store.Check(context.Background(), show)
	fmt.Println(report.Whole(), last <= 1, err)
	// Output: true true <nil>
}

// A file that is no go-store database is replaced only by force.
func ExampleWithForce() {
	folder, err := os.MkdirTemp("", "go-store")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path, backup := filepath.Join(folder, "app.db"), filepath.Join(folder, "backup.db")
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	fmt.Println(store.Backup(ctx, backup), store.Close())
	if err := os.WriteFile(path, []byte("what was a database once"), 0o600); err != nil {
		log.Fatal(err)
	}
	var options []api.OperationOption
	fmt.Println("refused:", api.Restore(ctx, path, backup, options...) != nil)
	fmt.Println(api.Restore(ctx, path, backup, append(options, api.WithForce())...))
	// Output:
	// <nil> <nil>
	// refused: true
	// <nil>
}

// What a check may find, and what salvage could not read.
func ExampleFinding() {
	report := api.SalvageReport{
		Findings:   []api.Finding{{Kind: api.FindingStructure, Text: "page 7 is damaged"}, {Kind: api.FindingRow, Text: "users/ada"}},
		Unreadable: []api.PageRun{{First: 7, Last: 9}},
	}
	for _, finding := range report.Findings {
		switch finding.Kind {
		case api.FindingStructure, api.FindingSchema, api.FindingTrigger:
			fmt.Println("the file:", finding.Text)
		case api.FindingRow, api.FindingCount:
			fmt.Println("an entry:", finding.Text)
		case api.FindingLog:
			fmt.Println("the log:", finding.Text)
		}
	}
	for _, run := range report.Unreadable {
		fmt.Println("pages", run.First, "to", run.Last)
	}
	// Output:
	// the file: page 7 is damaged
	// an entry: users/ada
	// pages 7 to 9
}
