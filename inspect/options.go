package inspect

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
)

// Option says what a Handler does beyond showing the store to its own machine. The last
// of several of a kind counts, but for WithHosts, whose names add up. A handler with an
// option that can't be, such as an empty token, answers every request with status 500
// and the reason, so that what was to be guarded is not open by mistake.
type Option func(*config) error

// config is what the options have made of a handler. It does not change afterwards.
type config struct {
	writes  bool
	name    string             // of the store, for the page
	token   *[sha256.Size]byte // nil: none is asked for
	hosts   map[string]bool    // beside those of the loopback interface
	anyHost bool
	remote  bool
	maxBody int64
}

// DefaultMaxBody is how large the body of a PUT may be without WithMaxBody, in bytes: as
// large as a store's values by default.
const DefaultMaxBody = 16 << 20

// WithWrites allows PUT, PATCH and DELETE, and the page's editing. Rows of the store's
// own (the outbox, timers) are not written to by them.
func WithWrites() Option {
	return func(c *config) error {
		c.writes = true
		return nil
	}
}

// WithName has the page show what the store is called, such as the name of its file.
func WithName(name string) Option {
	return func(c *config) error {
		c.name = name
		return nil
	}
}

// WithToken has every request but those for the page and its assets carry the token, as
// "Authorization: Bearer TOKEN", and answers callers of other machines too (but see
// WithHosts). The page takes it from behind its address, percent-encoded as
// url.URL writes a Fragment: https://…/#token=TOKEN. It should be long and random, as
// crypto/rand.Text is, and what carries it is to be encrypted (TLS). An empty one is
// refused.
func WithToken(token string) Option {
	return func(c *config) error {
		if token == "" {
			return errors.New("WithToken: the token is empty; leave the option away, or look where it comes from")
		}
		if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return errors.New("WithToken: a header carries printable ASCII without spaces only; crypto/rand.Text makes such a token")
		}
		sum := sha256.Sum256([]byte(token))
		c.token = &sum
		return nil
	}
}

// WithHosts adds names under which the handler is reached, such as "admin.example.com",
// to those of the loopback interface (localhost and names below it, 127.0.0.0/8, ::1).
// The port does not matter. A request with any other name in its Host header is refused
// with status 421: otherwise a page of an attacker's, whose name was made to lead here,
// could read the store (DNS rebinding). "*" allows every name; use it with a token only.
func WithHosts(names ...string) Option {
	return func(c *config) error {
		for _, name := range names {
			if name == "*" {
				c.anyHost = true
				continue
			}
			host, ok := hostName(name)
			if !ok {
				return fmt.Errorf("WithHosts: %q is no name or address of a host; give it without scheme and path", name)
			}
			c.hosts[host] = true
		}
		return nil
	}
}

// WithRemote answers callers on other machines without a token: for programs that have
// authenticated the caller before they call the handler. It does not widen WithHosts.
func WithRemote() Option {
	return func(c *config) error {
		c.remote = true
		return nil
	}
}

// WithMaxBody sets how large the body of a PUT may be, in bytes: DefaultMaxBody if it is
// not given. A larger one is refused with status 413. The store's own limit holds too.
func WithMaxBody(bytes int64) Option {
	return func(c *config) error {
		if bytes < 1 {
			return fmt.Errorf("WithMaxBody: %d bytes: must be 1 at least", bytes)
		}
		c.maxBody = bytes
		return nil
	}
}
