//go:build !linux

package floor

import "os"

func syncData(file *os.File) error { return file.Sync() }
