package frames

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"

	coder "github.com/coder/websocket"
	gobwas "github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	gorilla "github.com/gorilla/websocket"
	"github.com/lxzan/gws"
)

var answer = make([]byte, AnswerSize)

// Servers are the ways to serve, by name.
var Servers = map[string]func(address string) error{
	"coder":   serveCoder,
	"gorilla": serveGorilla,
	"gobwas":  serveGobwas,
	"gws":     serveGWS,
	"raw":     serveRaw,
}

// serveCoder is the echo server of github.com/coder/websocket.
func serveCoder(address string) error {
	return http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := coder.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for err == nil {
			if _, _, err = c.Read(context.Background()); err == nil {
				err = c.Write(context.Background(), coder.MessageBinary, answer)
			}
		}
	}))
}

// serveGorilla is the echo server of github.com/gorilla/websocket.
func serveGorilla(address string) error {
	var upgrader gorilla.Upgrader
	return http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for err == nil {
			if _, _, err = c.ReadMessage(); err == nil {
				err = c.WriteMessage(gorilla.BinaryMessage, answer)
			}
		}
	}))
}

// serveGobwas is the echo server of github.com/gobwas/ws.
func serveGobwas(address string) error {
	return http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, _, err := gobwas.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for err == nil {
				if _, _, err = wsutil.ReadClientData(c); err == nil {
					err = wsutil.WriteServerMessage(c, gobwas.OpBinary, answer)
				}
			}
		}()
	}))
}

// serveGWS is the echo server of github.com/lxzan/gws.
func serveGWS(address string) error {
	upgrader := gws.NewUpgrader(gwsAnswer{}, &gws.ServerOption{})
	return http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r)
		if err != nil {
			return
		}
		go c.ReadLoop()
	}))
}

type gwsAnswer struct{ gws.BuiltinEventHandler }

func (gwsAnswer) OnMessage(c *gws.Conn, message *gws.Message) {
	defer message.Close()
	c.WriteMessage(gws.OpcodeBinary, answer)
}

// rawHead is the size of the length before a message that is not in a WebSocket, 4 bytes.
const rawHead = 4

func appendRawHead(b []byte, size int) []byte { return binary.BigEndian.AppendUint32(b, uint32(size)) }
func appendRaw(b, message []byte) []byte      { return append(appendRawHead(b, len(message)), message...) }

// serveRaw is what TCP can do: lengths before messages, and answers that are flushed when all that has come is read.
func serveRaw(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go answerRaw(c)
	}
}

// maxRaw is the longest message that is taken.
const maxRaw = 1 << 17

func answerRaw(c net.Conn) {
	defer c.Close()
	r, w := bufio.NewReaderSize(c, 16<<10), bufio.NewWriterSize(c, 16<<10)
	frame := appendRaw(nil, answer)
	message := make([]byte, maxRaw)
	for {
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
		head := message[:rawHead]
		if _, err := io.ReadFull(r, head); err != nil {
			return
		}
		size := binary.BigEndian.Uint32(head)
		if size > maxRaw {
			return
		}
		if _, err := io.ReadFull(r, message[:size]); err != nil {
			return
		}
		w.Write(frame) // an error comes again with Flush
	}
}
