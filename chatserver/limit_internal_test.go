package chatserver

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
)

// endlessListener accepts as many connections as it is asked for.
type endlessListener struct{ net.Listener }

func (endlessListener) Accept() (net.Conn, error) {
	near, _ := net.Pipe()
	return near, nil
}

func (endlessListener) Close() error { return nil }

func TestLimitedListenerWaitsForAConnectionToClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimitedListener(endlessListener{}, 2)
		first, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Accept(); err != nil {
			t.Fatal(err)
		}
		accepted := make(chan error, 1)
		go func() {
			for {
				_, err := l.Accept()
				accepted <- err
				if err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		if len(accepted) != 0 {
			t.Fatal("a third connection was accepted")
		}
		first.Close()
		first.Close() // counts once
		synctest.Wait()
		if len(accepted) != 1 || <-accepted != nil {
			t.Fatal("there was room for one")
		}
		synctest.Wait()
		if len(accepted) != 0 {
			t.Fatal("there was room for two")
		}
		l.Close()
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}
