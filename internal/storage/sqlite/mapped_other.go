//go:build !unix

package sqlite

import "os"

func mapFile(file *os.File, _ int, _ bool) *mapped { return &mapped{file: file} }

func (m *mapped) unmap() error { return nil }
