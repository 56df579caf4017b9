//go:build !unix

package api_test

import (
	"io/fs"
	"testing"
)

// requirePrivate has nothing to look at: permissions here are those of the
// folder, and not in the mode.
func requirePrivate(testing.TB, fs.FileInfo) {}
