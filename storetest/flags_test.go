package storetest_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/storetest"

	"github.com/stretchr/testify/require"
)

const planted = "STORETEST_PLANTED"

// TestPlantedRace is run by TestFailureNamesItsSeed in a process of its own, where its
// counters race.
func TestPlantedRace(t *testing.T) {
	add := exact
	if os.Getenv(planted) != "" {
		add = racy
	}
	storetest.Run(t, storetest.Actors{"one": counter(add), "two": counter(add)}, countTo("one", "two"), storetest.InMemory())
}

// TestFailureNamesItsSeed: what go test prints names the seed, and the command that it
// names shows the same again, and nothing else.
func TestFailureNamesItsSeed(t *testing.T) {
	run := func(arguments ...string) (output string, err error) {
		command := exec.Command(os.Args[0], append([]string{"-test.run=^TestPlantedRace$", "-test.v"}, arguments...)...)
		command.Env = append(os.Environ(), planted+"=1")
		printed, err := command.CombinedOutput()
		return string(printed), err
	}
	output, err := run("-storetest.runs=30")
	require.Error(t, err, output)
	named := regexp.MustCompile(`go test -run '\^TestPlantedRace\$' (-storetest\.seed=\d+)`).FindStringSubmatch(output)
	require.Len(t, named, 2, output)
	again, err := run(named[1])
	require.Error(t, err, again)
	require.Equal(t, 1, strings.Count(again, "=== RUN   TestPlantedRace/"), again)
	require.Equal(t, stepsOf(t, output), stepsOf(t, again))
	output, err = run("-storetest.seed=one")
	require.Error(t, err)
	require.Contains(t, output, "must be a number")
}

// stepsOf is the steps that a failure shows.
func stepsOf(t *testing.T, output string) []string {
	t.Helper()
	steps := regexp.MustCompile(`(?m)^ +\d+  .+$`).FindAllString(output, -1)
	require.Greater(t, len(steps), 4, output)
	for i := range steps {
		steps[i] = strings.TrimSpace(steps[i])
	}
	return steps
}
