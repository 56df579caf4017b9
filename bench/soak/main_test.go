package soak

import (
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
