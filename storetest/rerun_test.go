package storetest_test

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"testing"

	"forge.lthn.ai/core/go-store/storetest"

	"github.com/stretchr/testify/require"
)

// TestPlantedCrash is run by TestACrashByItsName in a process of its own, where it takes a
// crash for a failure.
func TestPlantedCrash(t *testing.T) {
	storetest.EachCrash(t, nil, func(t *testing.T, s *storetest.Store) {
		err := errors.Join(s.Set("accounts", "ada", "0"), s.Set("accounts", "bob", "10"))
		s.Kill()
		if os.Getenv(planted) != "" {
			require.NoError(t, err)
		}
	})
}

// TestACrashByItsName: a point at which a program has failed is tried again by the name
// that go test has printed, and fails again; no other is.
func TestACrashByItsName(t *testing.T) {
	run := func(name string) (output string, err error) {
		command := exec.Command(os.Args[0], "-test.v", "-test.run", name)
		command.Env = append(os.Environ(), planted+"=1")
		printed, err := command.CombinedOutput()
		return string(printed), err
	}
	failures := regexp.MustCompile(`(?m)^ +--- FAIL: (TestPlantedCrash/writer\.commit/\S+)`)
	output, err := run("^TestPlantedCrash$")
	require.Error(t, err, output)
	failed := failures.FindAllStringSubmatch(output, -1)
	require.NotEmpty(t, failed, output)
	for _, failure := range failed {
		again, err := run("^TestPlantedCrash$/" + failure[1][len("TestPlantedCrash/"):] + "$")
		require.Error(t, err, again)
		require.Equal(t, [][]string{failure}, failures.FindAllStringSubmatch(again, -1), again)
		require.NotContains(t, again, "uninterrupted")
	}
}
