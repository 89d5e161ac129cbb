package chatserver

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"mime"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"openmediator/chatserver/directory"
	"openmediator/csp"
)

const (
	challengeLife = 60 * time.Second
	httpTimeout   = 10 * time.Second // for a request to arrive, and again for the answer to be taken
	maxHTTPHeader = 16 << 10         // bytes
	maxHTTPConns  = 256              // at once; those beyond wait to be accepted
)

// ServeDirectory accepts connections for the HTTP interface until Close and then returns nil. The listener is closed. It
// should be on loopback: the connections are not encrypted, and whoever reaches them may register. At most 256 requests
// are served at once; further ones wait.
func (s *Server) ServeDirectory(l net.Listener) error {
	server := &http.Server{
		Handler:           s.HTTPHandler(),
		ReadHeaderTimeout: httpTimeout,
		ReadTimeout:       httpTimeout,
		WriteTimeout:      httpTimeout,
		MaxHeaderBytes:    maxHTTPHeader,
		ErrorLog:          log.New(io.Discard, "", 0), // its lines hold addresses
	}
	server.SetKeepAlivesEnabled(false)
	s.mu.Lock()
	stopping := s.stopping
	if !stopping {
		s.http = append(s.http, server)
	}
	s.mu.Unlock()
	if stopping {
		return l.Close()
	}
	if err := server.Serve(netutil.LimitListener(l, maxHTTPConns)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// HTTPHandler returns the HTTP interface, as package directory describes it.
func (s *Server) HTTPHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+directory.Path, s.serveRegistration)
	mux.HandleFunc("GET "+directory.Path+"/{identity}", s.serveLookup)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "there are POST "+directory.Path+" and GET "+directory.Path+"/IDENTITY, and nothing else")
	})
	mux.HandleFunc(directory.Path, wants(http.MethodPost))
	mux.HandleFunc(directory.Path+"/{identity}", wants(http.MethodGet))
	return mux
}

// wants answers requests with another method.
func wants(method string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", method)
		refuse(w, http.StatusMethodNotAllowed, "the method is not "+method)
	}
}

func (s *Server) serveLookup(w http.ResponseWriter, r *http.Request) {
	id, err := csp.ParseIdentity(r.PathValue("identity"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "the identity is not 8 characters A–Z and 0–9")
		return
	}
	key, ok := s.known.PublicKey(id)
	if !ok {
		refuse(w, http.StatusNotFound, "nobody has this identity")
		return
	}
	answer(w, http.StatusOK, directory.Entry{Identity: id.String(), PublicKey: directory.FormatPublicKey(key)})
}

func (s *Server) serveRegistration(w http.ResponseWriter, r *http.Request) {
	registration, status, problem := readRegistration(w, r)
	if problem != "" {
		refuse(w, status, problem)
		return
	}
	key, err := directory.ParsePublicKey(registration.PublicKey)
	if err != nil {
		refuse(w, http.StatusBadRequest, "the "+err.Error())
		return
	}
	if registration.Token == "" {
		s.serveChallenge(w, key)
		return
	}
	s.serveProof(w, key, registration)
}

// readRegistration reads a body. If problem is not empty, it says what is wrong with it.
func readRegistration(w http.ResponseWriter, r *http.Request) (registration directory.Registration, status int, problem string) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != directory.ContentType {
		return registration, http.StatusUnsupportedMediaType, "the content type is not " + directory.ContentType
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, directory.MaxBodySize))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return registration, http.StatusRequestEntityTooLarge, "the body has more than 4096 bytes"
	}
	if err != nil {
		return registration, http.StatusBadRequest, "the body did not arrive"
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&registration); err != nil {
		return registration, http.StatusBadRequest, "the body is not a JSON object with publicKey, token, response, identity and nothing else"
	}
	if _, err := decoder.Token(); err != io.EOF {
		return registration, http.StatusBadRequest, "the body has something behind its JSON object"
	}
	return registration, 0, ""
}

func (s *Server) serveChallenge(w http.ResponseWriter, key *ecdh.PublicKey) {
	token, public, err := s.challenges.begin(key, time.Now())
	if err != nil {
		w.Header().Set("Retry-After", "60")
		refuse(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(w, http.StatusOK, directory.Challenge{
		Token: hex.EncodeToString(token[:]), ChallengePublicKey: directory.FormatPublicKey(public),
	})
}

func (s *Server) serveProof(w http.ResponseWriter, key *ecdh.PublicKey, registration directory.Registration) {
	var wish *csp.Identity
	if registration.Identity != "" {
		id, err := csp.ParseIdentity(registration.Identity)
		if err != nil {
			refuse(w, http.StatusBadRequest, "the identity is not 8 characters A–Z and 0–9")
			return
		}
		wish = &id
	}
	token, err := hex.DecodeString(registration.Token)
	response, err2 := hex.DecodeString(registration.Response)
	if err != nil || err2 != nil || len(token) != directory.TokenSize || len(response) != directory.ProofSize {
		refuse(w, http.StatusBadRequest, "token and response are not 64 hexadecimal digits each")
		return
	}
	if !s.challenges.end(challengeToken(token), key, response, time.Now()) {
		refuse(w, http.StatusForbidden, "the response does not match a challenge for this key: ask for a new one; each is good for one minute and one attempt")
		return
	}
	s.serveNew(w, key, wish)
}

func (s *Server) serveNew(w http.ResponseWriter, key *ecdh.PublicKey, wish *csp.Identity) {
	id, err := s.known.register(key, wish, s.config.MaxRegistered)
	switch {
	case err == nil:
		answer(w, http.StatusCreated, directory.Entry{Identity: id.String(), PublicKey: directory.FormatPublicKey(key)})
	case errors.Is(err, errTaken):
		refuse(w, http.StatusConflict, "the identity is taken")
	case errors.Is(err, errCrowded), errors.Is(err, errNoneFound):
		refuse(w, http.StatusInsufficientStorage, err.Error())
	default:
		refuse(w, http.StatusInternalServerError, "storage failed: nothing was registered")
	}
}

func refuse(w http.ResponseWriter, status int, text string) {
	answer(w, status, directory.Failure{Error: text})
}

func answer(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		panic(err) // structs of strings
	}
	w.Header().Set("Content-Type", directory.ContentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(data, '\n'))
}

// challenges are the registrations that have begun.
type challenges struct {
	most int

	mu   sync.Mutex
	open map[challengeToken]challenge
}

type challengeToken [directory.TokenSize]byte

type challenge struct {
	key    *ecdh.PublicKey  // that wants to register
	secret *ecdh.PrivateKey // of this challenge
	expiry time.Time
}

var errManyChallenges = errors.New("too many registrations have begun: try again in a minute")

func newChallenges(most int) *challenges {
	return &challenges{most: most, open: make(map[challengeToken]challenge)}
}

// begin makes a challenge for a key.
func (c *challenges) begin(key *ecdh.PublicKey, now time.Time) (token challengeToken, public *ecdh.PublicKey, err error) {
	secret, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return token, nil, err
	}
	rand.Read(token[:])
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= c.most {
		c.sweep(now)
	}
	if len(c.open) >= c.most {
		return token, nil, errManyChallenges
	}
	c.open[token] = challenge{key: key, secret: secret, expiry: now.Add(challengeLife)}
	return token, secret.PublicKey(), nil
}

func (c *challenges) sweep(now time.Time) {
	for token, one := range c.open {
		if !now.Before(one.expiry) {
			delete(c.open, token)
		}
	}
}

// end tells whether the response to a challenge is right. It can be asked once.
func (c *challenges) end(token challengeToken, key *ecdh.PublicKey, response []byte, now time.Time) bool {
	c.mu.Lock()
	one, ok := c.open[token]
	delete(c.open, token)
	c.mu.Unlock()
	if !ok || !now.Before(one.expiry) || !one.key.Equal(key) {
		return false
	}
	want, err := directory.Prove(one.secret, key, key, token[:])
	return err == nil && subtle.ConstantTimeCompare(want[:], response) == 1
}
