// Package storefs reads a group of a go-store as a file system: an fs.FS whose files are
// the group's keys, and whose folders are what stands before a slash in them.
//
//	files := storefs.New(store, "site")
//	http.Handle("/", http.FileServerFS(files))
//
// It never writes. It owns nothing and there is nothing to close: an open file holds its
// value, as it was when the file was opened.
package storefs
