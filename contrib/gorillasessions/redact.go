package gorillasessions

import "strings"

// redact is an error whose text does not have the number of a session: errors are logged, and
// a reader of the log that has numbers and the keys has sessions. What it wraps is unchanged.
func redact(err error, id string) error {
	if err == nil || id == "" {
		return err
	}
	return &redacted{err: err, text: strings.ReplaceAll(err.Error(), "/"+id, "/…")}
}

type redacted struct {
	err  error
	text string
}

func (r *redacted) Error() string { return r.text }
func (r *redacted) Unwrap() error { return r.err }
