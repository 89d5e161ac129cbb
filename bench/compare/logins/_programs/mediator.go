// Counts logins in this server's way for as long as the first argument says, and prints how many there are per second of CPU
// time. It is built in the server's module, so that this one does not depend on that and has not to follow its versions. With
// the second argument "ahead" key pairs have been drawn before, and only what is left is counted.
package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"syscall"
	"time"

	"openmediator/d2m"
)

const (
	prepared = 256 // logins are made beforehand, to be checked in turn
	batch    = 64  // logins are between two looks at the clock
)

func main() {
	d, err := time.ParseDuration(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	group, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	verifiers, responses := prepare(group)
	id, ahead := d2m.GroupID(group.PublicKey().Bytes()), len(os.Args) > 2
	start := spent()
	for n := 0; ; n += batch {
		if now := spent(); now-start >= d {
			fmt.Println(float64(n) / (now - start).Seconds())
			return
		}
		for i := range batch {
			if !ahead {
				_ = newVerifier().Hello()
			}
			if at := (n + i) % prepared; !verifiers[at].Check(id, &responses[at]) {
				log.Fatal("login: was refused")
			}
		}
	}
}

func prepare(group *ecdh.PrivateKey) (verifiers [prepared]*d2m.Verifier, responses [prepared][d2m.ResponseSize]byte) {
	for i := range verifiers {
		verifiers[i] = newVerifier()
		hello := verifiers[i].Hello()
		var nonce [24]byte
		rand.Read(nonce[:])
		var err error
		if responses[i], err = d2m.Respond(group, hello.ESK, hello.Challenge, nonce); err != nil {
			log.Fatal(err)
		}
	}
	return verifiers, responses
}

func newVerifier() *d2m.Verifier {
	v, err := d2m.NewVerifier(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// spent returns the CPU time of this process.
func spent() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
