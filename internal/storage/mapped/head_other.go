//go:build !unix

package mapped

import "os"

func NewHead(file *os.File, _ int, _ bool) *Head { return &Head{File: file} }

func (m *Head) Unmap() error { return nil }
