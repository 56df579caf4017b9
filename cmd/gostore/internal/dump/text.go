package dump

import (
	"encoding/base64"
	"unicode/utf8"
)

// AppendText appends a member of a JSON object: the text under its name or, if
// it is not UTF-8 or would be longer, in base64 under the name with 64 behind.
func AppendText(line []byte, name, text string) []byte {
	line = append(line, '"')
	line = append(line, name...)
	if !utf8.ValidString(text) || quotedLength(text) > base64.StdEncoding.EncodedLen(len(text))+len("64") {
		line = append(line, `64":"`...)
		line = base64.StdEncoding.AppendEncode(line, []byte(text))
		return append(line, '"')
	}
	line = append(line, `":`...)
	return appendQuoted(line, text)
}

const hexDigits = "0123456789abcdef"

// escaped is what stands for a rune in a JSON string, empty if it stands for
// itself. The line ends of Unicode are JSON, but not every reader of lines
// leaves them alone.
func escaped(r rune) string {
	switch {
	case r == '"':
		return `\"`
	case r == '\\':
		return `\\`
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029:
		return `\u` + string([]byte{hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15]})
	default:
		return ""
	}
}

func quotedLength(text string) int {
	length := len(text)
	for _, r := range text {
		if e := escaped(r); e != "" {
			length += len(e) - utf8.RuneLen(r)
		}
	}
	return length
}

// appendQuoted appends UTF-8 text as a JSON string. (encoding/json escapes for
// HTML, or needs an encoder for each string.)
func appendQuoted(line []byte, text string) []byte {
	line = append(line, '"')
	from := 0
	for at, r := range text {
		if e := escaped(r); e != "" {
			line = append(append(line, text[from:at]...), e...)
			from = at + utf8.RuneLen(r)
		}
	}
	return append(append(line, text[from:]...), '"')
}
