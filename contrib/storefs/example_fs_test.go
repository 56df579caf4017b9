package storefs_test

import (
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"log"
	"os"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/contrib/storefs"
)

// website is a store with the files that most of these examples read.
func website() *api.Store {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"index.html", "css/main.css", "css/print/a4.css"} {
		if err := store.Set("site", name, "<p>"+name+"\n"); err != nil {
			log.Fatal(err)
		}
	}
	return store
}

// Templates are read from a store as they would be from a folder.
func ExampleNew() {
	store := website()
	defer store.Close()
	if err := store.Set("site", "hello.tmpl", "<p>hello, {{.}}"); err != nil {
		log.Fatal(err)
	}
	templates, err := template.ParseFS(storefs.New(store, "site"), "*.tmpl")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(templates.Execute(os.Stdout, "<world>"))
	// Output: <p>hello, &lt;world&gt;<nil>
}

// From a snapshot all files are of one version, however long a reader takes.
func ExampleReader() {
	store := website()
	defer store.Close()
	snapshot, err := store.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	defer snapshot.Close()
	if err := store.Set("site", "index.html", "<p>a new one"); err != nil {
		log.Fatal(err)
	}
	for _, reader := range []storefs.Reader{snapshot, store} {
		page, err := fs.ReadFile(storefs.New(reader, "site"), "index.html")
		fmt.Println(string(page), err)
	}
	// Output:
	// <p>index.html
	//  <nil>
	// <p>a new one <nil>
}

// An open file has the value that there was when it was opened. It can seek, which is how
// net/http serves ranges.
func ExampleFS_Open() {
	store := website()
	defer store.Close()
	file, err := storefs.New(store, "site").Open("index.html")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	fmt.Println(store.Delete("site", "index.html"))
	at, err := file.(io.Seeker).Seek(3, io.SeekStart)
	rest, _ := io.ReadAll(file)
	fmt.Printf("%d %q %v\n", at, rest, err)
	// Output:
	// <nil>
	// 3 "index.html\n" <nil>
}

// A key that is no valid path is not seen, and errors are those of package fs.
func ExampleFS_ReadFile() {
	store := website()
	defer store.Close()
	files := storefs.New(store, "site")
	page, err := files.ReadFile("index.html")
	fmt.Printf("%q %v\n", page, err)

	_, err = files.ReadFile("no such file")
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	_, err = files.ReadFile("../index.html")
	fmt.Println(errors.Is(err, fs.ErrInvalid))
	// Output:
	// "<p>index.html\n" <nil>
	// true
	// true
}

// A store has no times of files. It has revisions, which are better as an ETag: two versions
// never share one.
func ExampleFS_Stat() {
	store := website()
	defer store.Close()
	files := storefs.New(store, "site")
	for range 2 {
		info, err := files.Stat("index.html")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(info.Size(), info.ModTime().IsZero(), info.Sys().(uint64))
		fmt.Println(store.Set("site", "index.html", "<p>hi"))
	}
	// Output:
	// 14 true 1
	// <nil>
	// 5 true 4
	// <nil>
}

// A folder is what stands before a slash. Listing one costs what it holds, not what lies
// deeper.
func ExampleFS_ReadDir() {
	store := website()
	defer store.Close()
	files := storefs.New(store, "site")
	for _, folder := range []string{".", "css"} {
		entries, err := files.ReadDir(folder)
		fmt.Println(entries, err)
	}
	// Output:
	// [d css/ - index.html] <nil>
	// [- main.css d print/] <nil>
}
