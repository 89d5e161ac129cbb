package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"openmediator/d2m"
)

const (
	// CodeSize is how many characters a code has, each a letter or one of 2 to 7.
	CodeSize = 26

	// codeMark is the path segment before a code.
	codeMark = "i"
)

// Code is what an invited group shows. It is a secret until it is used.
type Code string

// newCode returns a code that nobody has: 130 random bits.
func newCode() Code { return Code(strings.ToLower(rand.Text())) }

// Path returns the path that a code travels in, relative to the server's URL, without slashes around it.
func (c Code) Path() string { return codeMark + "/" + string(c) }

// CodeInPath returns the code in the path of a URL: the segment behind the first segment "i" that is followed by what looks
// like a code, in any place but the last one, which is the device's. Capital letters count as small ones; empty segments
// do not count.
func CodeInPath(path string) (Code, bool) {
	end := strings.LastIndexByte(path, '/')
	if end < 0 {
		return "", false
	}
	marked := false
	for segment := range strings.SplitSeq(path[:end], "/") {
		switch {
		case segment == "":
		case marked && isCode(segment):
			return Code(strings.ToLower(segment)), true
		default:
			marked = segment == codeMark
		}
	}
	return "", false
}

func isCode(text string) bool {
	if len(text) != CodeSize {
		return false
	}
	for _, c := range []byte(text) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// ID returns what the invitation is called where the code must not stand.
func (c Code) ID() string {
	hash := c.hash()
	return hex.EncodeToString(hash[:idSize])
}

// hash is what is stored of a code.
func (c Code) hash() [sha256.Size]byte { return sha256.Sum256([]byte("mediator invitation " + c)) }

// binding is what is stored of a group that uses a code. Without the code it tells nothing of the group.
func (c Code) binding(group d2m.GroupID) string {
	mac := hmac.New(sha256.New, []byte(c))
	mac.Write([]byte("mediator invitation of a group"))
	mac.Write(group[:])
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
