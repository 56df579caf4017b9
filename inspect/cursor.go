package inspect

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
)

// place is where a list goes on: at or behind a group, and at a key of it.
type place struct {
	group string
	key   string // the first key that is wanted of the group
	from  bool   // there is such a key; otherwise the group is the first name wanted
}

var cursorEncoding = base64.RawURLEncoding.Strict()

// cursorOf is the place as text, with a checksum over it and over what the list is of:
// kind and the parameters that it depends on. It holds nothing secret and opens nothing:
// the checksum tells what was cut off or belongs to another list.
func cursorOf(at place, list ...string) string {
	body := []byte{0}
	if at.from {
		body[0] = 1
	}
	body = binary.AppendUvarint(body, uint64(len(at.group)))
	body = append(append(body, at.group...), at.key...)
	sum := cursorSum(body, list)
	return cursorEncoding.EncodeToString(append(body, sum[:]...))
}

func placeOf(cursor string, list ...string) (at place, err error) {
	invalid := &problem{status: http.StatusBadRequest, code: "invalid_cursor",
		detail: "the cursor is not one of this list: begin without it, or with the parameters that it was given out for"}
	body, err := cursorEncoding.DecodeString(cursor)
	if err != nil || len(body) < 6 || strings.ContainsAny(cursor, "\r\n") {
		return at, invalid
	}
	body, tail := body[:len(body)-4], body[len(body)-4:]
	if sum := cursorSum(body, list); string(sum[:]) != string(tail) || body[0] > 1 {
		return at, invalid
	}
	length, n := binary.Uvarint(body[1:])
	if n <= 0 || length > uint64(len(body)-1-n) {
		return at, invalid
	}
	rest := string(body[1+n:])
	return place{group: rest[:length], key: rest[length:], from: body[0] == 1}, nil
}

func cursorSum(body []byte, list []string) (sum [4]byte) {
	digest := sha256.New()
	for _, part := range list {
		_, _ = digest.Write(binary.AppendUvarint(nil, uint64(len(part)))) // a hash never fails
		_, _ = digest.Write([]byte(part))
	}
	_, _ = digest.Write(body)
	copy(sum[:], digest.Sum(nil))
	return sum
}
