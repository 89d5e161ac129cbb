package admin

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"openmediator/internal/durable"
)

// TokenName is the name of the token's file in the data directory.
const TokenName = "admin-token"

// What a token may be, characters: those that were made have 26, of 5 bits each.
const (
	minToken = 20
	maxToken = 200
)

// Token is what somebody has to know who asks over the network.
type Token string

// OpenToken returns the token of a data directory, and makes one if there is none. The caller must have the directory for
// itself. The error is one sentence for the operator.
func OpenToken(dir string) (Token, error) {
	path := filepath.Join(dir, TokenName)
	token, err := ReadToken(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	token = Token(rand.Text())
	if err := durable.Replace(path, []byte(token+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("token file %s: %w", path, plain(err))
	}
	return token, nil
}

// ReadToken reads the file of a token. It may have been written by hand: 20 to 200 characters without spaces. Nobody but its
// owner may be allowed to read it.
func ReadToken(path string) (Token, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() { // to open a pipe may take for ever
		err = errors.New("is not a file; move it away, and the server makes one")
	}
	var file *os.File
	if err == nil {
		file, err = os.Open(path)
	}
	if err != nil {
		return "", fmt.Errorf("token file %s: %w", path, plain(err))
	}
	defer file.Close()
	if info.Mode()&0o077 != 0 {
		err = fmt.Errorf("others than its owner may use it (mode %#o); chmod 600 it, after writing another token if they may have read it",
			info.Mode().Perm())
	}
	var text []byte
	if err == nil {
		text, err = io.ReadAll(io.LimitReader(file, 2*maxToken))
	}
	token := strings.TrimSpace(string(text))
	if err == nil && (len(token) < minToken || len(token) > maxToken || strings.ContainsFunc(token, notInToken)) {
		err = fmt.Errorf("does not hold %d to %d letters and digits; delete it, and the server makes another one", minToken, maxToken)
	}
	if err != nil {
		return "", fmt.Errorf("token file %s: %w", path, plain(err))
	}
	return Token(token), nil
}

// notInToken says whether a character may not stand in a header.
func notInToken(r rune) bool { return r <= ' ' || r > '~' }

// Require lets requests through that carry the token (Authorization: Bearer), and those that only ask whether the server
// lives and is ready.
func (t Token) Require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isPublic(r) && !t.matches(r.Header.Get("Authorization")) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="mediator"`)
			refuse(w, http.StatusUnauthorized, errors.New("token: is missing or wrong; it is in the file "+TokenName+" in the data directory"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isPublic says whether a request needs no token.
func isPublic(r *http.Request) bool { return r.URL.Path == livePath || r.URL.Path == readyPath }

// matches compares in a time that does not depend on where the difference is.
func (t Token) matches(authorization string) bool {
	scheme, given, _ := strings.Cut(authorization, " ")
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare([]byte(strings.TrimSpace(given)), []byte(t)) == 1
}
