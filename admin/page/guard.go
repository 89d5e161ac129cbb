package page

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// policy lets the page be made of its own files, speak with its own server, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// secure puts on an answer what keeps browsers from doing anything else with it.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// InternalHost is the host that the client of the unix socket asks for.
const InternalHost = "mediator"

// isOwnHost says whether a Host header names this machine in a way that nobody else decides about: by an address, or as
// localhost. Whoever owns any other name can let it lead here, and read the answers as those of a page of theirs.
func isOwnHost(host string) bool {
	if name, port, err := net.SplitHostPort(host); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

var errHost = errors.New("host: the page is asked for by its address or as localhost, and by no other name")

// checkHost refuses requests that another name has led here.
func checkHost(next http.Handler, also ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range also {
			if r.Host == name {
				next.ServeHTTP(w, r)
				return
			}
		}
		if !isOwnHost(r.Host) {
			refuse(w, http.StatusMisdirectedRequest, errHost)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// checkOrigin refuses what a browser sends on behalf of another page.
func checkOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusForbidden, errors.New("origin: another page has sent this"))
	}))
	return protection.Handler(next)
}

var errStranger = fmt.Errorf("session: is missing, over or wrong; \"mediator admin\" prints a link that is good for %d minutes",
	LinkLife/time.Minute)

// requireSession refuses whoever has neither a session nor the token.
func (s *side) requireSession(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		given = strings.TrimSpace(given)
		if s.trusted || strings.EqualFold(scheme, "Bearer") && (isSession(s.key, time.Now(), given) || same(given, s.token)) {
			next(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="mediator"`)
		refuse(w, http.StatusUnauthorized, errStranger)
	}
}
