//go:build !((linux || darwin || freebsd) && (amd64 || arm64 || s390x || ppc64le || riscv64))

package sqlite

import "os"

const canMap = false

func mapAhead(*os.File, int) ([]byte, error) { return nil, errNotMapped }

func unmapAhead([]byte) error { return nil }
