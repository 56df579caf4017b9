package scsstore

import "strings"

// redact is an error whose text does not name a token: errors are logged, and a reader that has
// a token has the session. What it wraps is unchanged.
func redact(err error, token string) error {
	if err == nil || token == "" {
		return err
	}
	return &redacted{err: err, text: strings.ReplaceAll(err.Error(), "/"+token, "/…")}
}

type redacted struct {
	err  error
	text string
}

func (r *redacted) Error() string { return r.text }
func (r *redacted) Unwrap() error { return r.err }
