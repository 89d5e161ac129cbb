package directory

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"openmediator/csp"
)

// callTimeout is for one call, answer included.
const callTimeout = 20 * time.Second

// RefusedError is an answer of the server that is an error.
type RefusedError struct {
	Status int    // of HTTP
	Text   string // the server's sentence; it may hold anything
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("chat server: refused with HTTP status %d: %s", e.Status, e.Text)
}

// ErrUnknownIdentity says that nobody has an identity.
var ErrUnknownIdentity = errors.New("chat server: nobody has this identity")

// Register registers the public key of a secret key at the server with this base URL (such as http://127.0.0.1:5280), and
// returns the identity it got: wish, or, if wish is nil, a random one. Errors are RefusedError (status 409: the wish is
// taken), an answer that makes no sense, and those of the network.
func Register(ctx context.Context, baseURL string, key *ecdh.PrivateKey, wish *csp.Identity) (csp.Identity, error) {
	registration := Registration{PublicKey: FormatPublicKey(key.PublicKey())}
	var challenge Challenge
	if err := call(ctx, http.MethodPost, baseURL, Path, registration, &challenge); err != nil {
		return csp.Identity{}, err
	}
	response, err := challenge.answer(key)
	if err != nil {
		return csp.Identity{}, fmt.Errorf("chat server: challenge: %w", err)
	}
	registration.Token, registration.Response = challenge.Token, hex.EncodeToString(response[:])
	if wish != nil {
		registration.Identity = wish.String()
	}
	var entry Entry
	if err := call(ctx, http.MethodPost, baseURL, Path, registration, &entry); err != nil {
		return csp.Identity{}, err
	}
	id, err := csp.ParseIdentity(entry.Identity)
	switch {
	case err != nil:
		return csp.Identity{}, errors.New("chat server: answer holds no identity")
	case wish != nil && id != *wish:
		return csp.Identity{}, errors.New("chat server: answer holds another identity than was wished for")
	}
	return id, nil
}

func (c Challenge) answer(key *ecdh.PrivateKey) ([ProofSize]byte, error) {
	token, err := hex.DecodeString(c.Token)
	if err != nil || len(token) != TokenSize {
		return [ProofSize]byte{}, fmt.Errorf("token is not %d hexadecimal digits", 2*TokenSize)
	}
	other, err := ParsePublicKey(c.ChallengePublicKey)
	if err != nil {
		return [ProofSize]byte{}, err
	}
	return Prove(key, other, key.PublicKey(), token)
}

// PublicKey asks for the public key of an identity. Errors are ErrUnknownIdentity, RefusedError, an answer that makes no
// sense, and those of the network.
func PublicKey(ctx context.Context, baseURL string, id csp.Identity) (*ecdh.PublicKey, error) {
	if !id.Valid() {
		return nil, ErrUnknownIdentity
	}
	var entry Entry
	err := call(ctx, http.MethodGet, baseURL, Path+"/"+id.String(), nil, &entry)
	if refused, ok := errors.AsType[*RefusedError](err); ok && refused.Status == http.StatusNotFound {
		return nil, ErrUnknownIdentity
	}
	if err != nil {
		return nil, err
	}
	if entry.Identity != id.String() {
		return nil, errors.New("chat server: answer is of another identity")
	}
	key, err := ParsePublicKey(entry.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("chat server: answer: %w", err)
	}
	return key, nil
}

// call makes one call and reads the answer into out.
func call(ctx context.Context, method, baseURL, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	request, err := newRequest(ctx, method, baseURL, path, in)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	response, err := client.Do(request)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err
		}
		return fmt.Errorf("chat server: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxBodySize+1))
	switch {
	case err != nil:
		return fmt.Errorf("chat server: answer: %w", err)
	case len(body) > MaxBodySize:
		return fmt.Errorf("chat server: answer has more than %d bytes", MaxBodySize)
	case response.StatusCode != http.StatusOK && response.StatusCode != http.StatusCreated:
		return refusal(response.StatusCode, body)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return errors.New("chat server: answer is not the JSON that is due: is this the HTTP interface of a chat server?")
	}
	return nil
}

func newRequest(ctx context.Context, method, baseURL, path string, in any) (*http.Request, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(baseURL, "/")+path, body)
	if err != nil {
		return nil, fmt.Errorf("chat server: %q is not a URL", baseURL)
	}
	if in != nil {
		request.Header.Set("Content-Type", ContentType)
	}
	return request, nil
}

func refusal(status int, body []byte) error {
	var failure Failure
	if json.Unmarshal(body, &failure) != nil || failure.Error == "" || !utf8.ValidString(failure.Error) {
		failure.Error = http.StatusText(status)
	}
	return &RefusedError{Status: status, Text: failure.Error}
}
