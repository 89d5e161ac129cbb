// Command mediator is the server and, for the shell, a device that uses it.
//
//	mediator serve       runs the server
//	mediator chatserver  runs a small chat server, to try the mediator with
//	mediator group       says which groups may use the server, and which it knows
//	mediator admin       prints a link to the page on which a server shows how it is
//	mediator invite      makes an invitation for a new group
//	mediator privacy     tells what a server knows of its users
//	mediator health      tells whether a server is ready
//	mediator pin         prints what clients need to know a server by
//	mediator backup      writes what the server keeps into one file; verify, restore and compact are about that, too
//	mediator device      is a device: makes its file, listens, reflects, chats, looks after the group
//	mediator dev         runs mediator and chat server together, with devices to try them with
//	mediator demo        shows on a server of its own what all this is for
//	mediator config      checks, shows and explains the configuration of the server
//	mediator bench       measures a server
//	mediator version     tells which build this is
//
// # Where things stand
//
//   - settings.go is the one table of settings. Flags, MEDIATOR_… variables, the configuration file (setting_file.go), the
//     help text and docs/configuration.md are made from it, and nothing else reads the environment for a setting.
//   - reload.go puts other settings in place while the server runs: all or nothing.
//   - serve.go runs the server: store, listeners, mediator.Server, in this order, and ends them in the other.
//   - keeper.go has what backup, verify and compact do with the store, for the server that runs and for commands without one.
//   - device_file.go is what a device keeps between two commands. One process at a time uses a device file; it is
//     replaced as a whole, durably, before anything that depends on it leaves this machine.
//   - dev.go runs both servers in one process, from the parts that serve.go and chatserver.go have.
//   - events.go and the files beside it are what the commands print, in words and as JSON. What comes from a peer or a
//     server goes through printable or printableJSON, so that it cannot steer the terminal.
//   - exit.go maps every error to one sentence with the way out and to the exit code.
//   - bench_flags.go has what bench measures, package internal/load measures it. The server of --self is another process of
//     this same binary, and alone can be without a store: bench_server.go.
//   - demo_script.go is the demo, step by step: each step waits for what it announces and says what it saw. The server is
//     another process of this same binary, so that it can be killed; so is the chat server. demo_chat.go is the part with
//     two users.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
