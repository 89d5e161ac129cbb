package main

import (
	"openmediator/bench/compare/logins"
)

var perCore = metric{"per_cpu_s", "per second and core"}

// aheadID is this server's check without the key pair.
const aheadID = "mediator-ahead"

// loginRow compares what is computed for a login.
func loginRow() row {
	return row{
		id: "logins", title: "Checks of a login",
		metrics: []metric{perCore},
		goals: []goal{
			{perCore, aheadID, "nacl-box", 1.9, false},
			{perCore, aheadID, "libsodium", 0.65, false},
		},
		contestants: []contestant{
			{
				id: aheadID, name: "**this server**, on the login's path", guarantee: "what is left if the key pair was drawn ahead: one scalar multiplication",
				run: perCoreOf(func(r run) (float64, error) { return logins.Mediator(r, moduleRoot, r.dir, r.Duration, true) }),
			},
			{
				id: ownID, name: "**this server**, all of it", guarantee: "two scalar multiplications",
				run: perCoreOf(func(r run) (float64, error) { return logins.Mediator(r, moduleRoot, r.dir, r.Duration, false) }),
			},
			{
				id: "nacl-box", name: "nacl/box of golang.org/x/crypto", guarantee: "GenerateKey and Open: two scalar multiplications",
				run:     perCoreOf(func(r run) (float64, error) { return logins.NaClBox(r.Duration) }),
				version: func() (string, string) { return "x/crypto", moduleVersion("golang.org/x/crypto") },
			},
			{
				id: "libsodium", name: "libsodium", guarantee: "crypto_box_keypair and crypto_box_open_easy: two scalar multiplications",
				run:     perCoreOf(func(r run) (float64, error) { return logins.Sodium(r, r.dir, r.Duration) }),
				missing: logins.SodiumMissing,
				version: func() (string, string) { return "libsodium", debianVersion("libsodium-dev") },
			},
		},
	}
}

func perCoreOf(measure func(run) (float64, error)) func(run) (figures, error) {
	return func(r run) (figures, error) {
		rate, err := measure(r)
		return figures{perCore.key: rate}, err
	}
}
