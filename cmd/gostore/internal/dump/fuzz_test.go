package dump

import (
	"bytes"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/cmd/gostore/internal/rows"
)

// sealedLines gives every line the sum that it should have: what is read behind the
// sums is reached then.
func sealedLines(text string) string {
	var out []byte
	sum := uint32(0)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "}")
		sum = crc32.Update(sum, castagnoli, []byte(line))
		out = append(appendSum(append(out, line...), sum), '\n')
	}
	return string(out)
}

// FuzzReader: no text makes it panic; what it accepts it has understood as it was
// written, and writes so again; without sums nothing is accepted.
func FuzzReader(f *testing.F) {
	f.Add(`{"gostore":"export","version":1}
{"group":"g","key":"k","value":"v","expires_ms":1772366400000}
{"group64":"Zw==","key64":"/w==","value":""}
{"end":true,"rows":2,"revision":9}`)
	f.Add(`{"gostore":"export","version":1}
{"end":true,"rows":0,"revision":0}`)
	f.Add("\xef\xbb\xbf{\"gostore\":\"export\",\"version\":1}\r\n{\"group\":\"g\",\"key\":\"\\ud800\",\"value\":\"\\u0000\"}")
	f.Add(`{"gostore":"export","version":1}
{"group":"g","key":"k","key64":"aw==","value":"v"}`)
	f.Fuzz(func(t *testing.T, text string) {
		if all, err := read(strings.NewReader(text)); err == nil && !strings.Contains(text, sumBegins) {
			t.Fatalf("%q has no sums, and was read as %v", text, all)
		}
		all, err := read(strings.NewReader(sealedLines(text)))
		if err != nil {
			var line *rows.LineError
			require.True(t, errors.As(err, &line), "%v", err)
			return
		}
		again, err := read(bytes.NewReader([]byte(export(t, all...))))
		require.NoError(t, err)
		require.Len(t, again, len(all))
		for i := range all {
			require.True(t, all[i].Expires.Equal(again[i].Expires))
			require.Equal(t, [3]string{all[i].Group, all[i].Key, all[i].Value}, [3]string{again[i].Group, again[i].Key, again[i].Value})
		}
	})
}
