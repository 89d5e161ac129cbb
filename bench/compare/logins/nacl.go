package logins

import (
	"crypto/rand"
	"errors"
	"syscall"
	"time"

	"golang.org/x/crypto/nacl/box"
)

// prepared is how many logins are made beforehand, to be checked in turn.
const prepared = 256

// batch is how many logins there are between two looks at the clock.
const batch = 64

var errRefused = errors.New("login: was refused")

// NaClBox is the way of x/crypto's nacl/box: GenerateKey, and Open of what the device has sent.
func NaClBox(d time.Duration) (perSecond float64, err error) {
	public, private, err := box.GenerateKey(rand.Reader)
	if err != nil {
		return 0, err
	}
	group, groupPrivate, err := box.GenerateKey(rand.Reader)
	if err != nil {
		return 0, err
	}
	var challenge [32]byte
	nonces := make([][24]byte, prepared)
	responses := make([][]byte, prepared)
	for i := range responses {
		rand.Read(nonces[i][:])
		responses[i] = box.Seal(nil, challenge[:], &nonces[i], public, groupPrivate)
	}
	return count(d, func(i int) error {
		if _, _, err := box.GenerateKey(rand.Reader); err != nil {
			return err
		}
		opened, ok := box.Open(nil, responses[i], &nonces[i], group, private)
		if !ok || len(opened) != len(challenge) {
			return errRefused
		}
		return nil
	})
}

// count calls login until so much CPU time is spent.
func count(d time.Duration, login func(i int) error) (perSecond float64, err error) {
	start, err := spent()
	if err != nil {
		return 0, err
	}
	for n := 0; ; n += batch {
		now, err := spent()
		if err != nil {
			return 0, err
		}
		if now-start >= d {
			return float64(n) / (now - start).Seconds(), nil
		}
		for i := range batch {
			if err := login((n + i) % prepared); err != nil {
				return 0, err
			}
		}
	}
}

// spent returns the CPU time of this process.
func spent() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}
