package page

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"sync"
	"time"
)

const (
	// LinkLife is how long a code for a session is good.
	LinkLife = 5 * time.Minute

	// SessionLife is how long a session is.
	SessionLife = 12 * time.Hour

	// maxLinks is how many codes are good at once. One more ends the oldest.
	maxLinks = 16
)

// links are codes that make one session each. Only their hashes are kept, so that the time of a comparison tells nothing.
type links struct {
	mu   sync.Mutex
	open []link // in the order in which they end
}

type link struct {
	hash [sha256.Size]byte
	ends time.Time
}

// make returns a code of 26 letters and digits.
func (l *links) make(now time.Time) (code string, ends time.Time) {
	code, ends = rand.Text(), now.Add(LinkLife)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = append(l.open, link{sha256.Sum256([]byte(code)), ends})
	l.open = l.open[max(0, len(l.open)-maxLinks):]
	return code, ends
}

// use says whether a code is good. It is not any more.
func (l *links) use(now time.Time, code string) bool {
	hash := sha256.Sum256([]byte(code))
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.open, func(k link) bool { return k.hash == hash })
	if i < 0 {
		return false
	}
	ends := l.open[i].ends
	l.open = slices.Delete(l.open, i, i+1)
	return now.Before(ends)
}

// A session is the base64 of: until when it is good, Unix seconds, 8 bytes big-endian; 16 random bytes; HMAC-SHA256 of both.
const (
	sessionUntil  = 8
	sessionRandom = 16
	sessionSize   = sessionUntil + sessionRandom + sha256.Size
)

// newSessionKey returns the key that sessions are signed with, for the holder of a token.
func newSessionKey(token string) []byte {
	return sign([]byte(token), []byte("session of the admin page"))
}

// newSession returns a session.
func newSession(key []byte, now time.Time) (session string, ends time.Time) {
	ends = now.Add(SessionLife).Truncate(time.Second)
	b := binary.BigEndian.AppendUint64(nil, uint64(ends.Unix()))
	b = append(b, make([]byte, sessionRandom)...)
	rand.Read(b[sessionUntil:])
	return base64.RawURLEncoding.EncodeToString(append(b, sign(key, b)...)), ends
}

// isSession says whether a text is a session that is still good.
func isSession(key []byte, now time.Time, text string) bool {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != sessionSize || !hmac.Equal(b[sessionSize-sha256.Size:], sign(key, b[:sessionSize-sha256.Size])) {
		return false
	}
	return now.Before(time.Unix(int64(binary.BigEndian.Uint64(b)), 0))
}

func sign(key, text []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(text)
	return mac.Sum(nil)
}

// same compares two secrets in a time that does not depend on where they differ, or how long they are.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return bytes.Equal(x[:], y[:])
}
