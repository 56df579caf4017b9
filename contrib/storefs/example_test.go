package storefs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/contrib/storefs"
)

func Example() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(
		store.Set("site", "index.html", "<h1>hello</h1>"),
		store.Set("site", "css/main.css", "h1 { color: teal }"),
	); err != nil {
		log.Fatal(err)
	}

	files := storefs.New(store, "site")
	css, err := fs.ReadFile(files, "css/main.css")
	fmt.Println(string(css), err)
	fmt.Println(fs.Glob(files, "*/*.css"))

	response := httptest.NewRecorder()
	http.FileServerFS(files).ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(response.Body)
	// Output:
	// h1 { color: teal } <nil>
	// [css/main.css] <nil>
	// <h1>hello</h1>
}
