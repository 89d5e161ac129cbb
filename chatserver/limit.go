package chatserver

import (
	"net"
	"sync"
)

// limitedListener accepts a connection only while fewer than a number of those that it accepted are open.
type limitedListener struct {
	net.Listener
	open chan struct{} // a token per open connection
	stop chan struct{} // closed by Close
	once sync.Once
}

func newLimitedListener(l net.Listener, most int) *limitedListener {
	return &limitedListener{Listener: l, open: make(chan struct{}, most), stop: make(chan struct{})}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.open <- struct{}{}:
	case <-l.stop:
		return nil, net.ErrClosed
	}
	nc, err := l.Listener.Accept()
	if err != nil {
		<-l.open
		return nil, err
	}
	return &limitedConn{Conn: nc, gone: func() { <-l.open }}, nil
}

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.stop) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	once sync.Once
	gone func()
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.gone)
	return err
}
