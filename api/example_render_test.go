package api_test

import (
	"errors"
	"fmt"

	"forge.lthn.ai/core/go-store/api"
)

func ExampleStore_RenderStrict() {
	store, err := api.New(":memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	if err := store.Set("site", "name", "example.org"); err != nil {
		fmt.Println(err)
		return
	}
	text, err := store.RenderStrict("server {{ .name }}", "site")
	fmt.Println(text, err)
	_, err = store.RenderStrict("server {{ .port }}", "site")
	fmt.Println(err != nil)
	_, err = store.Render("{{ range $i := 1000000000 }}{{ printf `%1000000d` $i }}{{ end }}", "site")
	fmt.Println(errors.Is(err, api.TooLargeError))
	// Output:
	// server example.org <nil>
	// true
	// true
}
