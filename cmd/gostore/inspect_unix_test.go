//go:build unix

package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestInspect_Interrupted(t *testing.T) {
	_, db := openOwner(t)
	p := startProgram(t, "inspect", "--db", db)
	assert.Contains(t, p.line(), "http://127.0.0.1:")
	assert.Zero(t, p.interrupt())
	assert.Empty(t, p.stderr.String())
}
