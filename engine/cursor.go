package engine

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"forge.lthn.ai/core/go-store/kv"
)

// A cursor is a position in text: a version, the group's length, the group, the
// key, and a checksum that the store's UUID is the key of. Without the UUID
// no cursor can be made that this store or another one takes.
const (
	cursorVersion = 1
	cursorSum     = 16
)

var cursorEncoding = base64.RawURLEncoding.Strict()

// Cursor is the position behind a row.
func (e *Engine) Cursor(group, key string) string {
	cursor := make([]byte, 0, 1+binary.MaxVarintLen64+len(group)+len(key)+cursorSum)
	cursor = append(cursor, cursorVersion)
	cursor = binary.AppendUvarint(cursor, uint64(len(group)))
	cursor = append(append(cursor, group...), key...)
	return cursorEncoding.EncodeToString(append(cursor, e.cursorSum(cursor)...))
}

// Position is where a cursor stands. It must lie in a group of the range.
func (e *Engine) Position(cursor string, groups kv.Range) (*kv.Key, error) {
	bytes, err := cursorEncoding.DecodeString(cursor)
	if err != nil || strings.ContainsAny(cursor, "\r\n") || len(bytes) < 1+1+cursorSum {
		return nil, invalidCursor("it is not one that a scan gave")
	}
	body, sum := bytes[:len(bytes)-cursorSum], bytes[len(bytes)-cursorSum:]
	if !hmac.Equal(sum, e.cursorSum(body)) {
		return nil, invalidCursor("it was changed, or is another store's")
	}
	length, n := binary.Uvarint(body[1:])
	if body[0] != cursorVersion || n <= 0 || length > uint64(len(body)-1-n) {
		return nil, invalidCursor("it is of another version of go-store")
	}
	text := string(body[1+n:])
	at := &kv.Key{Group: text[:length], Key: text[length:]}
	if !groups.Contains(at.Group) {
		return nil, invalidCursor("it is of a scan of other groups")
	}
	return at, nil
}

func invalidCursor(why string) error { return fmt.Errorf("%w: %s", kv.InvalidCursorError, why) }

func (e *Engine) cursorSum(body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(e.database.UUID()))
	mac.Write(body)
	return mac.Sum(nil)[:cursorSum]
}
