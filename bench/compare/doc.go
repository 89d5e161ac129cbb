// Command compare measures this server beside what people would build it from, with the same work, in turn, on this
// machine, and writes a table in Markdown:
//
//	make compare-packages                                install the Debian packages that are compared with
//	make compare                                         everything, five rounds; it takes half an hour
//	cd bench/compare && go run . --list                  what there is
//	cd bench/compare && go run . --only window32 --rounds 3 --out table.md
//
// It is a module of its own so that what it needs stays out of the server's go.mod. It runs on Linux.
//
// # How it measures
//
// In each round every contestant of a row has its turn, each round beginning with another one, with a fresh process and an
// empty directory. The table has medians with the smallest and the largest figure, and ratios of medians. A server and what
// puts it under load are two processes that share all cores: for the contestants the load comes from this process, for
// this server from `mediator bench`, which does the same work and drives it in the same way (package load). A machine that
// does something else at the same time shows in the spread; the CPU figures suffer least.
//
// All connections go over the loopback interface. What a peer promises stands beside its figure: they differ, and a figure
// means nothing without it.
package main
