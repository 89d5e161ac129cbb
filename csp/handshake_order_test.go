package csp

import (
	"errors"
	"testing"
)

// Who is not authenticated gets no further with extensions.
func TestNoExtensionsAfterAWrongVouch(t *testing.T) {
	v := readVectors(t)
	server := serverAtSteps(t, v).loggedIn
	wantError(t, server.Authenticate(newKey(t).PublicKey()), "login: vouch is wrong")
	_, err := server.Extensions(v.Handshake.Login[LoginSize:])
	wantError(t, err, "handshake: step is out of order")
}

// Extensions and Authenticate come in either order.
func TestAuthenticateBeforeExtensions(t *testing.T) {
	v := readVectors(t)
	server := serverAtSteps(t, v).loggedIn
	if err := server.Authenticate(publicKey(t, v.Secrets.ClientPublic)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := server.Finish(LoginAck{}); !errors.Is(err, errOutOfOrder) {
		t.Errorf("finished without extensions: %v", err)
	}
	if _, err := server.Extensions(v.Handshake.Login[LoginSize:]); err != nil {
		t.Fatal(err)
	}
	ack, _, err := server.Finish(parseLoginAck((*[16]byte)(v.Derived.LoginAck)))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "login ack", ack, v.Handshake.LoginAck)
}

// Each step that is out of order is an error at each moment, and leaves the
// handshake as it was.
func TestStepsOutOfOrder(t *testing.T) {
	v := readVectors(t)
	identityKey := publicKey(t, v.Secrets.ClientPublic)
	serverSteps := []struct {
		name string
		call func(*ServerHandshake) error
	}{
		{"Hello", func(h *ServerHandshake) error { _, err := h.Hello(v.Handshake.ClientHello); return err }},
		{"Login", func(h *ServerHandshake) error { _, err := h.Login(v.Handshake.Login[:LoginSize]); return err }},
		{"Extensions", func(h *ServerHandshake) error { _, err := h.Extensions(v.Handshake.Login[LoginSize:]); return err }},
		{"Authenticate", func(h *ServerHandshake) error { return h.Authenticate(identityKey) }},
		{"Finish", func(h *ServerHandshake) error { _, _, err := h.Finish(LoginAck{}); return err }},
	}
	server, none := v.server(t), new(ServerHandshake)
	for turn := range len(serverSteps) + 1 {
		for i, step := range serverSteps {
			wantError(t, step.call(none), "handshake: step is out of order")
			eitherOrder := turn == 2 && step.name == "Authenticate"
			if i == turn || eitherOrder {
				continue
			}
			if err := step.call(server); !errors.Is(err, errOutOfOrder) {
				t.Errorf("%s at turn %d: error is %v", step.name, turn, err)
			}
		}
		if turn < len(serverSteps) {
			if err := serverSteps[turn].call(server); err != nil {
				t.Fatalf("%s: %v", serverSteps[turn].name, err)
			}
		}
	}

	clientSteps := []func(*ClientHandshake) error{
		func(h *ClientHandshake) error { _, err := h.Login(v.Handshake.ServerHello); return err },
		func(h *ClientHandshake) error { _, _, err := h.Finish(v.Handshake.LoginAck); return err },
	}
	client, nobody := v.client(t, v.login(t)), new(ClientHandshake)
	if nobody.Hello() != [ClientHelloSize]byte{} {
		t.Error("a client that was not made says hello")
	}
	for turn := range len(clientSteps) + 1 {
		for i, step := range clientSteps {
			wantError(t, step(nobody), "handshake: step is out of order")
			if i == turn {
				continue
			}
			if err := step(client); !errors.Is(err, errOutOfOrder) {
				t.Errorf("step %d at turn %d: error is %v", i, turn, err)
			}
		}
		if turn < len(clientSteps) {
			if err := clientSteps[turn](client); err != nil {
				t.Fatalf("step %d: %v", turn, err)
			}
		}
	}
}

// A login without extensions takes none.
func TestExtensionsThatWereNotAnnounced(t *testing.T) {
	v := readVectors(t)
	server := serverAtSteps(t, v).greeted
	if _, err := server.Login(v.LoginWithoutExtensions); err != nil {
		t.Fatal(err)
	}
	_, err := server.Extensions(v.Handshake.Login[LoginSize:])
	wantError(t, err, "handshake: step is out of order")
	_, err = server.Extensions(nil)
	wantError(t, err, "handshake: step is out of order")
}
