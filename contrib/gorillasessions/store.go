package gorillasessions

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"

	"forge.lthn.ai/core/go-store/api"
)

var _ sessions.Store = (*Store)(nil)

// TooLongError: a session's values are longer than MaxLength allows. Nothing was written.
// Test with errors.Is.
var TooLongError = errors.New("the session is too long: keep less in it, or raise MaxLength")

// EndedError: a session was ended, or has expired, since it was read: it is not brought
// back. Nothing was written. Test with errors.Is.
var EndedError = errors.New("the session has ended")

// Store is a session store of gorilla's. Set its fields, MaxAge and MaxLength before it is
// used; then it is safe for use by any number of goroutines.
type Store struct {
	Codecs  []securecookie.Codec // of the cookies
	Options *sessions.Options    // of new sessions

	store     api.Storer
	group     string
	maxLength int
}

// New keeps sessions in a group of a store, or of a namespace and its quota. The keys sign
// the cookies, and encrypt them: see sessions.NewCookieStore. A session lasts 30 days after
// it was last saved (MaxAge), and its values may take 4,096 bytes (MaxLength), as those of
// gorilla's FilesystemStore. Cookies are HttpOnly and SameSite=Lax, unlike its. With a nil
// store every method fails with api.NilStoreError.
func New(store api.Storer, group string, keyPairs ...[]byte) *Store {
	if store == nil {
		store = (*api.Store)(nil)
	}
	s := &Store{
		Codecs:  securecookie.CodecsFromPairs(keyPairs...),
		Options: &sessions.Options{Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode},
		store:   store, group: group, maxLength: 4096,
	}
	s.MaxAge(30 * 24 * 60 * 60)
	return s
}

// MaxAge sets how many seconds a session lasts after it was last saved, in the store and
// in the browser. Options.MaxAge of one session does the same for that one, up to this.
func (s *Store) MaxAge(seconds int) {
	s.Options.MaxAge = seconds
	for _, codec := range s.Codecs {
		if cookie, ok := codec.(*securecookie.SecureCookie); ok {
			cookie.MaxAge(seconds)
		}
	}
}

// MaxLength sets how many bytes the values of a session may take; 0 for what the store
// allows (16 MiB).
func (s *Store) MaxLength(bytes int) { s.maxLength = bytes }

// Get is the session of a request: the same one for every call with that request.
func (s *Store) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(s, name)
}

// New is the session that the request's cookie names, read from the store, or a new one
// (IsNew) if there is no cookie, or no session of its number any more. With an error, too,
// there is a new one: of a cookie that was tampered with or is signed by other keys; of
// values that can't be decoded; of the store, or of the request's context.
func (s *Store) New(r *http.Request, name string) (*sessions.Session, error) {
	session := sessions.NewSession(s, name)
	options := *s.Options
	session.Options, session.IsNew = &options, true
	cookie, err := r.Cookie(name)
	if err != nil { // there is none
		return session, nil
	}
	var id string
	if err := securecookie.DecodeMulti(name, cookie.Value, &id, s.Codecs...); err != nil {
		return session, fmt.Errorf("gorillasessions.New: cookie %q: %w", name, err)
	}
	values, err := s.values(r).Get(id)
	switch {
	case errors.Is(err, api.NotFoundError): // it has expired: the number is not used again
		return session, nil
	case err != nil:
		return session, fmt.Errorf("gorillasessions.New: cookie %q: %w", name, redact(err, id))
	}
	session.ID, session.Values, session.IsNew = id, values, false
	return session, nil
}

// Save writes a session, which expires Options.MaxAge seconds later, and sets its cookie.
// It returns when that is durable. A MaxAge of zero or less ends the session, in the store
// and in the browser. After an error no cookie was set and nothing written: what can't be
// encoded (types that interfaces hold have to be registered, see gob.Register), TooLongError,
// EndedError, the store's, or the context's. Of two requests that save a session at a time
// the later has its way with all of it, as in gorilla's own stores. Numbers are the store's to
// give: a session with an ID has to be there.
func (s *Store) Save(r *http.Request, w http.ResponseWriter, session *sessions.Session) error {
	store := api.InContext(r.Context(), s.store)
	if session.Options == nil {
		options := *s.Options
		session.Options = &options
	}
	if session.Options.MaxAge <= 0 {
		if session.ID != "" {
			if err := store.Delete(s.group, session.ID); err != nil {
				return fmt.Errorf("gorillasessions.Save: %w", redact(err, session.ID))
			}
			session.ID = "" // if it is saved again it is another one
		}
		http.SetCookie(w, sessions.NewCookie(session.Name(), "", session.Options))
		return nil
	}
	id := session.ID
	if id == "" {
		id = rand.Text() // 130 bits
	}
	cookie, err := securecookie.EncodeMulti(session.Name(), id, s.Codecs...)
	if err != nil {
		return fmt.Errorf("gorillasessions.Save: cookie %q: %w", session.Name(), err)
	}
	data, err := s.values(r).Encode(id, session.Values)
	if err != nil {
		return fmt.Errorf("gorillasessions.Save: session %q: %w", session.Name(), redact(err, id))
	}
	if s.maxLength > 0 && len(data) > s.maxLength {
		return fmt.Errorf("gorillasessions.Save: session %q takes %d bytes, %d are allowed: %w",
			session.Name(), len(data), s.maxLength, TooLongError)
	}
	timeToLive := time.Duration(min(session.Options.MaxAge, maxSeconds)) * time.Second
	batch := new(api.Batch).SetWithTTL(s.group, id, data, timeToLive)
	if session.ID != "" { // read or saved before, even if IsNew, which gorilla's stores leave as it is
		batch.IfPresent(s.group, id)
	}
	var absent *api.RevisionMismatchError
	if _, err := store.Batch(batch); errors.As(err, &absent) {
		return fmt.Errorf("gorillasessions.Save: session %q: %w", session.Name(), EndedError)
	} else if err != nil {
		return fmt.Errorf("gorillasessions.Save: %w", redact(err, id))
	}
	session.ID = id
	http.SetCookie(w, sessions.NewCookie(session.Name(), cookie, session.Options))
	return nil
}

// values are the sessions, by their numbers.
func (s *Store) values(r *http.Request) *api.Typed[map[any]any] {
	return api.Of(api.InContext(r.Context(), s.store), s.group, api.Gob[map[any]any]())
}

// maxSeconds is some 68 years: more would not fit everywhere.
const maxSeconds = 1<<31 - 1
