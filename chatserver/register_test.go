package chatserver_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"openmediator/chatserver"
	"openmediator/chatserver/directory"
	"openmediator/csp"
	"openmediator/internal/listen"
)

// withDirectory runs a server with its HTTP interface, and returns its base URL.
func withDirectory(t *testing.T, change func(*chatserver.Config)) (*testServer, string) {
	t.Helper()
	s := overTCP(t, change)
	l := listen.TCP(t)
	served := make(chan error, 1)
	server := s.Server
	go func() { served <- server.ServeDirectory(l) }()
	t.Cleanup(func() {
		s.close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, "http://" + l.Addr().String()
}

func TestRegisteredIdentityLogsInAndIsFound(t *testing.T) {
	s, url := withDirectory(t, nil)
	key := newKey(t)
	id, err := directory.Register(t.Context(), url, key, nil)
	if err != nil || !id.Valid() {
		t.Fatal(id, err)
	}
	found, err := directory.PublicKey(t.Context(), url, id)
	if err != nil || !found.Equal(key.PublicKey()) {
		t.Errorf("found %v, %v", found, err)
	}
	c := s.login(user{id, key}, nil)
	c.expectQueue()
	c.text(s.a, 1, "hello")
	a := s.login(s.a, nil)
	a.expectQueue("hello")
	a.nc.Close()
	c.nc.Close()

	s.restart(listen.TCP(t)) // registered ones are on disk
	s.login(user{id, key}, nil).expectQueue()
}

func TestRegistrationWithAWish(t *testing.T) {
	s, url := withDirectory(t, nil)
	wish := identity(t, "WISH0001")
	if id, err := directory.Register(t.Context(), url, newKey(t), &wish); err != nil || id != wish {
		t.Errorf("got %v, %v", id, err)
	}
	for _, taken := range []csp.Identity{wish, s.a.id} { // registered, and from the file
		_, err := directory.Register(t.Context(), url, newKey(t), &taken)
		if refused, ok := errors.AsType[*directory.RefusedError](err); !ok || refused.Status != http.StatusConflict {
			t.Errorf("got %v", err)
		}
	}
	if _, err := directory.PublicKey(t.Context(), url, identity(t, "NOBODY00")); !errors.Is(err, directory.ErrUnknownIdentity) {
		t.Errorf("got %v", err)
	}
	if found, err := directory.PublicKey(t.Context(), url, s.a.id); err != nil || !found.Equal(s.a.key.PublicKey()) {
		t.Errorf("one from the file: %v, %v", found, err)
	}
}

func TestAnIdentityOfTheFileWinsOverTheRegisteredOne(t *testing.T) {
	s, url := withDirectory(t, nil)
	wish, registered, given := identity(t, "BOTH0001"), newKey(t), newKey(t)
	if _, err := directory.Register(t.Context(), url, registered, &wish); err != nil {
		t.Fatal(err)
	}
	s.config.Identities = chatserver.FixedIdentities{wish: given.PublicKey()}
	s.restart(listen.TCP(t))
	s.login(user{wish, given}, nil).expectQueue()
	if _, err := s.tryLogin(user{wish, registered}, nil); err == nil {
		t.Error("the registered key logs in")
	}
}

// call makes a request of a handler and reads the JSON that is answered.
func call(t *testing.T, h http.Handler, method, path, contentType, body string) (status int, answer map[string]string) {
	t.Helper()
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Content-Type", contentType)
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, request)
	if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil {
		t.Errorf("%s %s: answer %q: %v", method, path, recorder.Body, err)
	}
	if kind := recorder.Header().Get("Content-Type"); kind != "application/json" {
		t.Errorf("%s %s: content type %q", method, path, kind)
	}
	return recorder.Code, answer
}

func TestWrongRequestsGetASentence(t *testing.T) {
	s := overTCP(t, nil)
	key := directory.FormatPublicKey(newKey(t).PublicKey())
	hex64 := strings.Repeat("ab", 32)
	for _, test := range []struct {
		name, method, path, contentType, body string
		status                                int
	}{
		{"another path", "GET", "/", "", "", 404},
		{"list of all", "GET", "/identities", "", "", 405},
		{"lower case", "GET", "/identities/abcd1234", "", "", 400},
		{"too long", "GET", "/identities/ABCD12345", "", "", 400},
		{"nobody", "GET", "/identities/ABCD1234", "", "", 404},
		{"deletion", "DELETE", "/identities/AAAAAAAA", "", "", 405},
		{"put", "PUT", "/identities", "application/json", "{}", 405},
		{"no content type", "POST", "/identities", "", `{"publicKey":"` + key + `"}`, 415},
		{"a web page's content type", "POST", "/identities", "text/plain", `{"publicKey":"` + key + `"}`, 415},
		{"no body", "POST", "/identities", "application/json", "", 400},
		{"no JSON", "POST", "/identities", "application/json", "publicKey=" + key, 400},
		{"list", "POST", "/identities", "application/json", "[]", 400},
		{"unknown field", "POST", "/identities", "application/json", `{"publicKey":"` + key + `","admin":true}`, 400},
		{"two objects", "POST", "/identities", "application/json", `{"publicKey":"` + key + `"}{}`, 400},
		{"body of 4,097 bytes", "POST", "/identities", "application/json", `{"publicKey":"` + strings.Repeat("a", 4097-16) + `"}`, 413},
		{"no key", "POST", "/identities", "application/json", `{}`, 400},
		{"short key", "POST", "/identities", "application/json", `{"publicKey":"abcd"}`, 400},
		{"key of low order", "POST", "/identities", "application/json", `{"publicKey":"` + strings.Repeat("00", 32) + `"}`, 400},
		{"token of another length", "POST", "/identities", "application/json", `{"publicKey":"` + key + `","token":"ab","response":"` + hex64 + `"}`, 400},
		{"no response", "POST", "/identities", "application/json", `{"publicKey":"` + key + `","token":"` + hex64 + `"}`, 400},
		{"wish is none", "POST", "/identities", "application/json", `{"publicKey":"` + key + `","token":"` + hex64 + `","response":"` + hex64 + `","identity":"x"}`, 400},
		{"unknown token", "POST", "/identities", "application/json", `{"publicKey":"` + key + `","token":"` + hex64 + `","response":"` + hex64 + `"}`, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, answer := call(t, s.HTTPHandler(), test.method, test.path, test.contentType, test.body)
			if status != test.status || len(answer["error"]) < 10 {
				t.Errorf("got %d, %q, want %d and a sentence", status, answer, test.status)
			}
			if strings.Contains(answer["error"], key) {
				t.Error("the sentence repeats what was sent")
			}
		})
	}
}

// begin asks for a challenge for a key.
func begin(t *testing.T, h http.Handler, publicKey string) (token, challengeKey string) {
	t.Helper()
	status, answer := call(t, h, "POST", "/identities", "application/json", fmt.Sprintf(`{"publicKey":%q}`, publicKey))
	if status != http.StatusOK {
		t.Fatalf("got %d, %q", status, answer)
	}
	return answer["token"], answer["challengePublicKey"]
}

// finish sends a response.
func finish(t *testing.T, h http.Handler, publicKey, token string, response []byte) (status int, answer map[string]string) {
	t.Helper()
	return call(t, h, "POST", "/identities", "application/json",
		fmt.Sprintf(`{"publicKey":%q,"token":%q,"response":"%x"}`, publicKey, token, response))
}

func prove(t *testing.T, u user, challengeKey, token string) []byte {
	t.Helper()
	other, err := directory.ParsePublicKey(challengeKey)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	response, err := directory.Prove(u.key, other, u.key.PublicKey(), raw)
	if err != nil {
		t.Fatal(err)
	}
	return response[:]
}

func TestRegistrationWantsAProofOfPossession(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		h := s.HTTPHandler()
		owner, thief := user{key: newKey(t)}, user{key: newKey(t)}
		public := directory.FormatPublicKey(owner.key.PublicKey())

		token, challenge := begin(t, h, public)
		if status, _ := finish(t, h, public, token, prove(t, thief, challenge, token)); status != http.StatusForbidden {
			t.Errorf("another key: %d", status)
		}
		right := prove(t, owner, challenge, token)
		if status, _ := finish(t, h, public, token, right); status != http.StatusForbidden {
			t.Errorf("second attempt: %d", status)
		}

		token, challenge = begin(t, h, directory.FormatPublicKey(thief.key.PublicKey()))
		if status, _ := finish(t, h, public, token, prove(t, thief, challenge, token)); status != http.StatusForbidden {
			t.Errorf("challenge for another key: %d", status)
		}
		token, challenge = begin(t, h, directory.FormatPublicKey(thief.key.PublicKey()))
		if status, _ := finish(t, h, public, token, prove(t, owner, challenge, token)); status != http.StatusForbidden {
			t.Errorf("challenge for another key, answered by the owner: %d", status)
		}

		token, challenge = begin(t, h, public)
		right = prove(t, owner, challenge, token)
		time.Sleep(time.Minute)
		if status, _ := finish(t, h, public, token, right); status != http.StatusForbidden {
			t.Errorf("after a minute: %d", status)
		}

		token, challenge = begin(t, h, public)
		right = prove(t, owner, challenge, token)
		time.Sleep(time.Minute - time.Millisecond)
		if status, answer := finish(t, h, public, token, right); status != http.StatusCreated || answer["publicKey"] != public {
			t.Errorf("in time: %d, %q", status, answer)
		}
		if status, _ := finish(t, h, public, token, right); status != http.StatusForbidden {
			t.Errorf("again: %d", status)
		}
	})
}

func TestRegistrationsAreBounded(t *testing.T) {
	limits := func(c *chatserver.Config) { c.MaxChallenges, c.MaxRegistered = 3, 2 }
	inBubble(t, limits, func(t *testing.T, s *testServer) {
		h := s.HTTPHandler()
		u := user{key: newKey(t)}
		public := directory.FormatPublicKey(u.key.PublicKey())
		for range 3 {
			begin(t, h, public)
		}
		body := fmt.Sprintf(`{"publicKey":%q}`, public)
		if status, _ := call(t, h, "POST", "/identities", "application/json", body); status != http.StatusServiceUnavailable {
			t.Errorf("fourth challenge: %d", status)
		}
		time.Sleep(time.Minute)
		for i, want := range []int{http.StatusCreated, http.StatusCreated, http.StatusInsufficientStorage} {
			token, challenge := begin(t, h, public)
			if status, _ := finish(t, h, public, token, prove(t, u, challenge, token)); status != want {
				t.Errorf("registration %d: %d, want %d", i, status, want)
			}
		}
	})
}

func TestRegistrationIsOnDiskBeforeItIsAnswered(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		h := s.HTTPHandler()
		u := user{key: newKey(t)}
		public := directory.FormatPublicKey(u.key.PublicKey())
		token, challenge := begin(t, h, public)
		s.FailStore(syscall.EIO)
		status, answer := finish(t, h, public, token, prove(t, u, challenge, token))
		if status != http.StatusInternalServerError || answer["identity"] != "" {
			t.Errorf("got %d, %q", status, answer)
		}
	})
}

// The calls stand whatever a server answers.
func TestCallsRefuseWrongAnswers(t *testing.T) {
	id := identity(t, "ABCD1234")
	key := directory.FormatPublicKey(newKey(t).PublicKey())
	for _, test := range []struct{ name, answer, want string }{
		{"no JSON", "<html>", "not the JSON"},
		{"nothing", "", "not the JSON"},
		{"no key", `{"identity":"ABCD1234"}`, "public key"},
		{"another identity", `{"identity":"ABCD0000","publicKey":"` + key + `"}`, "another identity"},
		{"endless", strings.Repeat(" ", 5000), "more than 4096"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, test.answer) }))
			defer server.Close()
			if _, err := directory.PublicKey(t.Context(), server.URL, id); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("look-up: %v", err)
			}
			if _, err := directory.Register(t.Context(), server.URL, newKey(t), nil); err == nil {
				t.Error("registration succeeds")
			}
		})
	}
	for _, status := range []int{301, 400, 500} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://192.0.2.1/")
			w.WriteHeader(status)
			w.Write(bytes.Repeat([]byte{0xff}, 10))
		}))
		_, err := directory.PublicKey(t.Context(), server.URL, id)
		if refused, ok := errors.AsType[*directory.RefusedError](err); !ok || refused.Status != status || refused.Text == "" {
			t.Errorf("status %d: %v", status, err)
		}
		server.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := directory.PublicKey(ctx, "http://127.0.0.1:1", id); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := directory.PublicKey(t.Context(), "http://127.0.0.1:1", id); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody there: %v", err)
	}
	if _, err := directory.PublicKey(t.Context(), "::", id); err == nil {
		t.Error("no URL: no error")
	}
}
