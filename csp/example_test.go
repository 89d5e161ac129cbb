package csp_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"

	"openmediator/csp"
)

// A client logs in, with nothing between the two but variables.
func Example() {
	serverKey, clientKey := generate(), generate()

	client, err := csp.NewClientHandshake(rand.Reader, csp.Login{
		Identity:   csp.Identity([]byte("ECHOECHO")),
		Key:        clientKey,
		ServerKey:  serverKey.PublicKey(),
		Extensions: &csp.Extensions{ClientInfo: "1.0;example", Features: csp.FeatureEcho},
	})
	check(err)
	server, err := csp.NewServerHandshake(rand.Reader, serverKey)
	check(err)

	clientHello := client.Hello()
	serverHello, err := server.Hello(clientHello[:])
	check(err)
	login, err := client.Login(serverHello)
	check(err)

	request, err := server.Login(login[:csp.LoginSize])
	check(err)
	extensions, err := server.Extensions(login[csp.LoginSize:])
	check(err)
	fmt.Printf("%v logs in with %s\n", request.Identity, extensions.ClientInfo)
	check(server.Authenticate(clientKey.PublicKey())) // the key that is registered for the identity
	loginAck, serverSession, err := server.Finish(csp.LoginAck{Time: 1_700_000_000_000, Queued: 2})
	check(err)

	clientSession, ack, err := client.Finish(loginAck)
	check(err)
	fmt.Println("messages waiting:", ack.Queued)

	frame, err := serverSession.Seal(nil, csp.Payload{Type: csp.QueueSendComplete})
	check(err)
	payload, err := clientSession.Open(frame[2:])
	check(err)
	fmt.Println("server sends", payload.Type)
	// Output:
	// ECHOECHO logs in with 1.0;example
	// messages waiting: 2
	// server sends queue send complete
}

func ExampleParseExtensions() {
	plain := csp.Extensions{ClientInfo: "1.0;example", Features: csp.FeatureMetadata}.Append(nil)
	extensions, err := csp.ParseExtensions(plain)
	fmt.Println(extensions.ClientInfo, extensions.Features&csp.FeatureEcho != 0, err)

	_, err = csp.ParseExtensions(plain[:10])
	fmt.Println(err)
	// Output:
	// 1.0;example false <nil>
	// extension 0: payload has 7 bytes, announced are 11
}

func generate() *ecdh.PrivateKey {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	check(err)
	return key
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
