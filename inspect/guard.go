package inspect

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// policy lets the page load what comes with it and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// dataPolicy lets what is not the page do nothing at all, should a browser show it.
const dataPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox"

// secure sets the headers that every answer has, whatever becomes of it.
func secure(header http.Header) {
	header.Set("Content-Security-Policy", dataPolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	header.Set("Cache-Control", "no-store")
}

// admit says why a request is not answered, or nothing. It comes before anything of the
// store's is touched. open is of routes that show nothing of the store: the page.
func (h *handler) admit(r *http.Request, open bool) *problem {
	if !h.allowedHost(r.Host) {
		return &problem{status: http.StatusMisdirectedRequest, code: "foreign_host",
			detail: "this host name is not one that the inspector answers to: reach it as localhost, or allow the name by WithHosts"}
	}
	if h.token == nil && !h.remote && !local(r) {
		return &problem{status: http.StatusForbidden, code: "remote",
			detail: "without a token the inspector answers callers on the same machine only: give it one by WithToken"}
	}
	if open {
		return nil
	}
	if !sameSite(r) || h.crossOrigin.Check(r) != nil {
		return &problem{status: http.StatusForbidden, code: "cross_origin", detail: "the request comes from another site's page"}
	}
	if h.token != nil && !h.authorised(r) {
		return &problem{status: http.StatusUnauthorized, code: "unauthorized",
			detail:  `a token is needed, as "Authorization: Bearer TOKEN"; the page takes it from behind its address: #token=TOKEN`,
			headers: map[string]string{"WWW-Authenticate": `Bearer realm="go-store"`}}
	}
	return nil
}

// authorised compares digests, so that the time tells nothing of the token or its length.
func (h *handler) authorised(r *http.Request) bool {
	given := r.Header.Values("Authorization")
	if len(given) != 1 {
		return false
	}
	scheme, token, found := strings.Cut(given[0], " ")
	sum := sha256.Sum256([]byte(strings.Trim(token, " ")))
	return subtle.ConstantTimeCompare(sum[:], h.token[:]) == 1 && found && strings.EqualFold(scheme, "Bearer")
}

// sameSite refuses what a browser says comes from another site, reads included: they
// could not be seen there, but they would be work. Programs say nothing of the kind.
func sameSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	_, host, found := strings.Cut(origin, "://")
	return found && strings.EqualFold(host, r.Host)
}

func (h *handler) allowedHost(hostPort string) bool {
	host, ok := hostName(hostPort)
	if !ok {
		return false
	}
	if h.anyHost || h.hosts[host] || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

// hostName is the name in a Host header: in lower case, without port, brackets and the
// dot that may stand behind it.
func hostName(hostPort string) (host string, ok bool) {
	host = hostPort
	if inner, port, bracketed := strings.Cut(strings.TrimPrefix(host, "["), "]"); bracketed && host[0] == '[' {
		address, err := netip.ParseAddr(inner)
		return address.String(), err == nil && address.Is6() && address.Zone() == "" && (port == "" || port[0] == ':' && digits(port[1:]))
	}
	if address, err := netip.ParseAddr(host); err == nil && address.Is6() {
		return address.String(), address.Zone() == ""
	}
	if name, port, found := strings.Cut(host, ":"); found {
		if !digits(port) {
			return "", false
		}
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, c := range []byte(host) {
		if c != '-' && c != '.' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return "", false
		}
	}
	return host, host != ""
}

func digits(text string) bool {
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// local reports whether the caller is on this machine. What a proxy on it hands on is
// not the proxy's own.
func local(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr == "" || r.RemoteAddr == "@" || strings.HasPrefix(r.RemoteAddr, "/") // a Unix socket
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}
