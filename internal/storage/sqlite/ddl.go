package sqlite

import "strings"

// token is a word, a number, a text or a sign of an SQL statement.
type token struct {
	text   string // a name or text without its quotes; a word as it stands there
	quoted bool   // a text, or a name in quotes
}

// is reports whether a token is that keyword or sign.
func (t token) is(word string) bool { return !t.quoted && strings.EqualFold(t.text, word) }

// tokens splits SQL, without its comments, as SQLite does
// (https://www.sqlite.org/draft/tokenreq.html). What can't be one is a token by itself.
func tokens(sql string) (all []token) {
	for sql != "" {
		n, t, ok := nextToken(sql)
		if ok {
			all = append(all, t)
		}
		sql = sql[n:]
	}
	return all
}

// nextToken is the first token of sql and how far it goes; not ok: white space, or a
// comment.
func nextToken(sql string) (n int, t token, ok bool) {
	switch c := sql[0]; {
	case strings.IndexByte(" \t\n\f\r", c) >= 0:
		return 1, t, false
	case strings.HasPrefix(sql, "\uFEFF"):
		return len("\uFEFF"), t, false
	case strings.HasPrefix(sql, "--"):
		if end := strings.IndexByte(sql, '\n'); end >= 0 {
			return end + 1, t, false
		}
		return len(sql), t, false
	case strings.HasPrefix(sql, "/*"):
		if end := strings.Index(sql[2:], "*/"); end >= 0 {
			return end + 4, t, false
		}
		return len(sql), t, false
	case c == '\'' || c == '"' || c == '`':
		return quotedToken(sql, c)
	case c == '[':
		if end := strings.IndexByte(sql, ']'); end >= 0 {
			return end + 1, token{sql[1:end], true}, true
		}
		return len(sql), token{sql, false}, true
	case isWordByte(c):
		for n = 1; n < len(sql) && isWordByte(sql[n]); n++ {
		}
		return n, token{sql[:n], false}, true
	default:
		return 1, token{sql[:1], false}, true
	}
}

func quotedToken(sql string, quote byte) (n int, t token, ok bool) {
	var text []byte
	for n = 1; n < len(sql); n++ {
		if sql[n] != quote {
			text = append(text, sql[n])
		} else if n+1 < len(sql) && sql[n+1] == quote {
			text = append(text, quote)
			n++
		} else {
			return n + 1, token{string(text), true}, true
		}
	}
	return len(sql), token{sql, false}, true // it has no end
}

func isWordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// cursor goes along tokens.
type cursor struct{ rest []token }

// take takes the words if the next tokens are these.
func (c *cursor) take(words ...string) bool {
	if len(c.rest) < len(words) {
		return false
	}
	for i, word := range words {
		if !c.rest[i].is(word) {
			return false
		}
	}
	c.rest = c.rest[len(words):]
	return true
}

// name takes a name.
func (c *cursor) name() (string, bool) {
	if len(c.rest) == 0 || !c.rest[0].quoted && !isWordByte(c.rest[0].text[0]) {
		return "", false
	}
	name := c.rest[0].text
	c.rest = c.rest[1:]
	return name, true
}

// names takes a list of names in brackets, in lower case.
func (c *cursor) names() (names []string, ok bool) {
	if !c.take("(") {
		return nil, false
	}
	for {
		name, ok := c.name()
		if !ok {
			return nil, false
		}
		names = append(names, strings.ToLower(name))
		switch {
		case c.take(","):
		case c.take(")"):
			return names, true
		default:
			return nil, false
		}
	}
}

// describe is what stands there next, for an error.
func (c *cursor) describe() string {
	const most = 60
	var words []string
	for i, t := range c.rest {
		if i == 4 {
			break
		}
		words = append(words, t.text)
	}
	text := strings.Join(words, " ")
	if len(text) > most {
		text = text[:most] + "…"
	}
	if text == "" {
		return "nothing where more should follow"
	}
	return text
}
