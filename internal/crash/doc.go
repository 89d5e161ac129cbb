// Package crash is the crash test: groups of devices keep the real server busy over real sockets while it is killed at
// random moments and started again on the same data, and package history judges what each device has seen. The devices
// compete for the lock of their group as well, and commit transactions of some messages; most kills are aimed at commits,
// and so many of them have to hit one as -crash.kills says.
//
//	go test ./internal/crash                           as part of every test run
//	go test ./internal/crash -crash.kills 500          for longer; make integration does with 50
//	go test ./internal/crash -crash.seed 17 -v         the devices and moments of another run
//
// SIGKILL leaves the operating system's page cache alone, so this shows that the server's state survives, not that it is on
// the disk; that is shown by package integration. The seed decides what devices do and when the server is killed, not how
// the system schedules them, so that a failure may need several runs with its seed to come again.
//
// Besides, two devices ask for the lock in the same instant, again and again, over real sockets.
package crash
