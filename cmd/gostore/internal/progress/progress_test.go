package progress

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBar_NoneOutsideATerminal(t *testing.T) {
	var pipe bytes.Buffer
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer file.Close()

	for _, bar := range []*Bar{
		Bytes(&pipe, "importing", 10),
		Bytes(file, "importing", Unknown),
		Duration(&pipe, "running", time.Second),
	} {
		assert.Nil(t, bar)
		bar.Set(5)
		bar.Describe("still importing")
		bar.Close()
	}
	assert.Empty(t, pipe.String())
	info, err := file.Stat()
	require.NoError(t, err)
	assert.Zero(t, info.Size())
}

func TestBar_DrawsAndCleansUp(t *testing.T) {
	for name, total := range map[string]int64{"a bar": 100, "a spinner": Unknown} {
		t.Run(name, func(t *testing.T) {
			var screen bytes.Buffer
			bar := draw(&screen, total, "importing")
			bar.Set(50)
			bar.Describe("nearly done")
			bar.Close()
			assert.Contains(t, screen.String(), "importing")
			assert.Contains(t, screen.String(), "\r")
			assert.NotContains(t, screen.String(), "\n")
		})
	}
}
