package rows

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
)

// ByteOrderMark is UTF-8's. It says nothing, and belongs to no field.
const ByteOrderMark = "\ufeff"

// sampleSize is how much of a text is looked at to tell its encoding.
const sampleSize = 4 << 10

// Start is the beginning of a text: up to its first line that is not empty at
// least, if that is not further than sampleSize, and what has come with it. It
// waits for no more.
func Start(in *bufio.Reader) ([]byte, error) {
	for {
		start, _ := in.Peek(min(in.Buffered(), sampleSize))
		line := bytes.TrimLeft(start, "\r\n\x00\xff\xfe") // empty in whichever encoding
		if len(start) == sampleSize || bytes.IndexByte(line, '\n') >= 0 {
			return start, nil
		}
		if longer, err := in.Peek(len(start) + 1); err != nil {
			return longer, err
		}
	}
}

// wide are the encodings that are told from bytes, in an order in which none is
// taken for a later one.
var wide = []struct {
	name, order string
	mark        string
	size, low   int // the bytes of a unit, and which of them holds an ASCII character
}{
	{"UTF-32", "LE", "\xff\xfe\x00\x00", 4, 0},
	{"UTF-32", "BE", "\x00\x00\xfe\xff", 4, 3},
	{"UTF-16", "LE", "\xff\xfe", 2, 0},
	{"UTF-16", "BE", "\xfe\xff", 2, 1},
}

// CheckEncoding says so if the start of a text shows that it is in UTF-16 or
// UTF-32, of which every field would be nonsense. The structure is the ASCII
// characters that hold its fields apart.
//
// Fields may hold any bytes, NUL too, so NULs alone prove nothing. Without a byte
// order mark a text is taken for one of these only if nearly all of it is ASCII
// in that encoding, or if many characters of its structure are, and nearly none
// is out of step: fields of bytes whose lengths differ can't be like that.
func CheckEncoding(start []byte, structure string) error {
	for _, e := range wide {
		text, marked := bytes.CutPrefix(start, []byte(e.mark))
		units, ascii, sound := len(text)/e.size, 0, 0
		for unit := range units {
			if c, ok := asciiUnit(text[unit*e.size:(unit+1)*e.size], e.low); ok {
				ascii++
				if strings.IndexByte(structure, c) >= 0 {
					sound++
				}
			}
		}
		unsound := -sound // the rest of a unit at the end is neither
		for _, b := range text[:units*e.size] {
			if strings.IndexByte(structure, b) >= 0 {
				unsound++
			}
		}
		name := e.name + e.order
		switch {
		case marked && (sound > unsound || units > 0 && 2*ascii >= units):
			return fmt.Errorf("the text is %s; convert it first: iconv -f %s -t UTF-8", e.name, e.name)
		case units > 1 && ascii > sound && unsound == 0 && 4*ascii >= 3*units, sound >= 6 && 4*unsound <= sound:
			return fmt.Errorf("the text is %s without a byte order mark; convert it first: iconv -f %s -t UTF-8", name, name)
		}
	}
	return nil
}

// asciiUnit is the ASCII character that a unit holds, other than NUL.
func asciiUnit(unit []byte, low int) (c byte, ok bool) {
	for at, b := range unit {
		if at != low && b != 0 {
			return 0, false
		}
	}
	return unit[low], unit[low] != 0 && unit[low] < 0x80
}
