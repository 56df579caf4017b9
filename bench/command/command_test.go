package command

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"forge.lthn.ai/core/go-store/bench"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func parse(t *testing.T, arguments ...string) *Flags {
	t.Helper()
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags := Add(set, Defaults{Duration: time.Second, Workloads: []string{"set", "get-hot"}, Callers: []int{1, 4}, Keys: 100})
	require.NoError(t, set.Parse(arguments))
	return flags
}

// sink is a store that takes writes and finds nothing.
type sink struct{}

func (sink) Set(string, string, string) error { return nil }
func (sink) Close() error                     { return nil }

func contenders() []bench.Contender {
	return []bench.Contender{{
		Name: "sink", Durability: "nothing",
		Open: func(string, bench.Settings) (bench.Target, error) { return sink{}, nil },
	}}
}

// quietBar counts nothing; cancel is called at the third step.
type quietBar struct{ cancel func() }

func (b quietBar) Set(done int64) {
	if done == 3 && b.cancel != nil {
		b.cancel()
	}
}
func (quietBar) Describe(string) {}
func (quietBar) Close()          {}

func TestPlan_Misuse(t *testing.T) {
	folder := t.TempDir()
	for want, arguments := range map[string][]string{
		`--workloads: no workload "sett"; there are all, set`: {"--workloads", "sett"},
		"--full and --for":                           {"--full", "--for", "1m"},
		"--for 10ms: use 1s to 24h":                  {"--for", "10ms"},
		`--value-size "many": use a number of bytes`: {"--value-size", "many"},
		"callers [0]: use numbers from 1 to 4096":    {"--callers", "0"},
		"callers [4097]: use numbers from 1 to 4096": {"--callers", "4097"},
		"1 keys: use 10":                             {"--keys", "1"},
		`no distribution "gauss"`:                    {"--distribution", "gauss"},
		"not one call would be due":                  {"--rate", "0.001"},
		"it needs 16 at least":                       {"--workloads", "watch", "--value-size", "8"},
		"by their own definition":                    {"--workloads", "ycsb", "--distribution", "zipfian"},
		"no such folder; name one that is there":     {"--folder", filepath.Join(folder, "none")},
		"it can't be written (no such file or directory); name a file in a folder that is there": {"--report", filepath.Join(folder, "none", "r.html")},
		"it can't be written (is a directory)":                                                   {"--json", folder},
		"--json and --report both name":                                                          {"--json", filepath.Join(folder, "r"), "--report", filepath.Join(folder, ".", "r")},
	} {
		err := parse(t, arguments...).Run(context.Background(), contenders(), Output{Stdout: new(bytes.Buffer), Bar: func(int64) Bar {
			t.Errorf("%v: something ran before all was checked", arguments)
			return quietBar{}
		}})
		var misuse MisuseError
		require.ErrorAs(t, err, &misuse, "%v", arguments)
		assert.Contains(t, err.Error(), want)
	}
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Empty(t, left, "to try whether a file can be written leaves none")
}

func TestPlan_OfFlags(t *testing.T) {
	plan, err := parse(t, "--workloads", "ycsb-c,set", "--callers", "2,8", "--value-size", "uniform:20-40", "--distribution", "zipfian",
		"--sorted", "--rate", "1000", "--seed", "7", "--rounds", "5", "--expiring", "50").Plan(2)
	require.NoError(t, err)
	assert.Equal(t, []int{2, 8}, plan.Callers)
	assert.Equal(t, bench.Sizes{Least: 20, Most: 40}, plan.RecordSize, "YCSB's records too, if it was given")
	assert.Equal(t, bench.Zipfian, plan.Distribution)
	assert.True(t, plan.Sorted)
	assert.EqualValues(t, 7, plan.Seed)
	assert.Equal(t, 5, plan.Rounds)
	assert.Equal(t, 50, plan.Expiring)
	assert.Len(t, plan.Workloads, 2)

	plan, err = parse(t, "--full", "--keys", "500").Plan(2)
	require.NoError(t, err)
	assert.Equal(t, 500, plan.Keys, "what was given counts")
	assert.Equal(t, bench.FullPlan().Callers, plan.Callers, "the rest is the full run's")
	assert.Equal(t, 1_000_000, plan.Expiring)
	assert.Len(t, plan.Workloads, len(bench.Workloads()))
	assert.Equal(t, 1000, plan.RecordSize.Most)
}

func TestRun_WritesEverywhere(t *testing.T) {
	folder := t.TempDir()
	path := func(name string) string { return filepath.Join(folder, name) }
	require.NoError(t, os.WriteFile(path("r.json"), []byte(strings.Repeat("an older and longer file ", 10_000)), 0o600))
	var stdout bytes.Buffer
	flags := parse(t, "--json", path("r.json"), "--report", path("r.html"), "--markdown", path("r.md"))
	require.NoError(t, flags.Run(context.Background(), contenders(), Output{Stdout: &stdout, Command: "test --me", Bar: func(int64) Bar { return quietBar{} }}))

	file, err := os.Open(path("r.json"))
	require.NoError(t, err)
	defer file.Close()
	result, err := bench.ReadJSON(file)
	require.NoError(t, err)
	assert.Equal(t, "test --me", result.Command)
	assert.Len(t, result.Cells, 4)
	assert.Contains(t, stdout.String(), "can't: has no get")
	for name, want := range map[string]string{"r.html": "</html>", "r.md": "| set |"} {
		text, err := os.ReadFile(path(name))
		require.NoError(t, err)
		assert.Contains(t, string(text), want)
	}
}

func TestRun_JSONOnStandardOutput(t *testing.T) {
	var stdout bytes.Buffer
	require.NoError(t, parse(t, "--json", "-").Run(context.Background(), contenders(), Output{Stdout: &stdout, Bar: func(int64) Bar { return quietBar{} }}))
	_, err := bench.ReadJSON(&stdout)
	require.NoError(t, err)
	assert.Zero(t, stdout.Len(), "and no table")
}

func TestRun_InterruptedWritesWhatItHas(t *testing.T) {
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	report := filepath.Join(t.TempDir(), "r.html")
	var stdout bytes.Buffer
	err := parse(t, "--report", report).Run(ctx, contenders(), Output{Stdout: &stdout, Bar: func(int64) Bar { return quietBar{interrupt} }})
	assert.ErrorIs(t, err, InterruptedError)
	assert.Contains(t, stdout.String(), "INTERRUPTED")
	assert.Contains(t, stdout.String(), "sink")
	text, err := os.ReadFile(report)
	require.NoError(t, err)
	assert.Contains(t, string(text), "This run was interrupted")
}

func TestRun_AFailureIsOne(t *testing.T) {
	broken := contenders()
	broken[0].Open = func(string, bench.Settings) (bench.Target, error) { return nil, os.ErrPermission }
	var stdout bytes.Buffer
	err := parse(t).Run(context.Background(), broken, Output{Stdout: &stdout, Bar: func(int64) Bar { return quietBar{} }})
	assert.ErrorContains(t, err, "4 failed, such as: sink, set, 1 callers: open: permission denied")
	assert.Contains(t, stdout.String(), "FAILED: sink, set")
}

func TestLine(t *testing.T) {
	flags := parse(t, "--full", "--callers", "1,2", "--report", "x.html")
	assert.Equal(t, "bench --full --callers 1,2 --report x.html", Line("bench", flags.set))
}
