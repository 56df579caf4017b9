//go:build unix && !linux

package api_test

const ownsInodes = false
