package engine

import (
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// FuzzCursor: a text is a cursor if it is one that the store has given, whatever is
// made of it, and a position in a group of the scan; all else is InvalidCursorError.
func FuzzCursor(f *testing.F) {
	e, err := Open(Config{Path: ":memory:"})
	require.NoError(f, err)
	f.Cleanup(func() { _ = e.Close() })
	f.Add("", []byte{cursorVersion, 1, 'g', 'k'})
	f.Add("tenant:g", []byte{cursorVersion, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1})
	f.Add(e.Cursor("tenant:g", "k"), []byte{cursorVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, text string, body []byte) {
		tenant := kv.PrefixRange("tenant:")
		check := func(cursor string) {
			at, err := e.Position(cursor, tenant)
			if err != nil {
				require.ErrorIs(t, err, kv.InvalidCursorError)
				return
			}
			require.True(t, strings.HasPrefix(at.Group, "tenant:"))
			require.Equal(t, cursor, e.Cursor(at.Group, at.Key), "there is one text for a position")
		}
		check(text)
		// As if the store's UUID were known: the text behind the sum is reached.
		if at, err := e.Position(cursorEncoding.EncodeToString(append(body, e.cursorSum(body)...)), tenant); err == nil {
			require.True(t, strings.HasPrefix(at.Group, "tenant:"))
		}
		check(e.Cursor(text, string(body)))
	})
}
