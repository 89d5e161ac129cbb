package chatserver

import (
	"runtime"
	"testing"
)

// What the last transaction has stored is not reported as refused.
func TestResultOfTheLastTransaction(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // do goes on only when both have happened
	for range 100 {
		s := &store{ops: make(chan operation), stop: make(chan struct{}), done: make(chan struct{})}
		result := make(chan error)
		go func() { result <- s.do(func(*transaction) error { return nil }) }()
		runtime.Gosched() // do waits
		op := <-s.ops
		op.then(nil)
		close(s.done)
		if err := <-result; err != nil {
			t.Fatal(err)
		}
	}
}
