//go:build !((linux || darwin || freebsd) && (amd64 || arm64 || s390x || ppc64le || riscv64))

package mapped

import "os"

const CanMap = false

func mapAhead(*os.File, int) ([]byte, error) { return nil, errNotMapped }

func unmapAhead([]byte) error { return nil }
