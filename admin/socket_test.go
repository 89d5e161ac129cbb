package admin_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/admin"
	"openmediator/internal/listen"
)

func TestListen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30)) // no path of a socket may be that long
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, admin.SocketName)
	first, err := admin.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := admin.Connect(dir); err != nil {
		t.Error(err)
	}
	first.Listener.Close() // as if killed: the socket stays
	if _, err := admin.Connect(dir); !errors.Is(err, admin.ErrNotRunning) {
		t.Error(err)
	}
	second, err := admin.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Connect(dir); err != nil {
		t.Error(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left over: %v", entries)
	}
}

func TestListenRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, admin.SocketName)
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Listen(dir); err == nil || !strings.Contains(err.Error(), path+": is there and is no socket") {
		t.Error(err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "mine" {
		t.Error("the file was touched", err)
	}
	if _, err := admin.Listen(filepath.Join(dir, "none")); err == nil {
		t.Error("listens in a directory that is not there")
	}
}

// Who is slow, in fake time: the header has 5 s to arrive, the rest of a request as long again; who says nothing at all goes
// as soon; who takes no answer has a minute.
func TestSlowClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := listen.NewPipe()
		server := admin.NewServer(newFake().handler())
		go server.Serve(pipe)
		defer server.Close()
		for what, row := range map[string]struct {
			say   string
			limit time.Duration
		}{
			"nothing": {"", 5 * time.Second},
			"header":  {"GET /groups HTTP/1.1\r\nHost: x\r\nX: ", 5 * time.Second},
			"body":    {"GET /groups HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", 10 * time.Second},
			"idle":    {"GET /none HTTP/1.1\r\nHost: x\r\n\r\n", 10 * time.Second},
		} {
			conn, err := pipe.Dial()
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			go func() { // a byte a second behind it
				io.WriteString(conn, row.say)
				for what != "idle" && what != "nothing" {
					if _, err := conn.Write([]byte("a")); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			}()
			io.Copy(io.Discard, conn)
			if took := time.Since(began); took > row.limit {
				t.Errorf("%s: ended after %v", what, took)
			}
			conn.Close()
			synctest.Wait()
		}
		conn, err := pipe.Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "GET /groups HTTP/1.1\r\nHost: x\r\n\r\n")
		time.Sleep(62 * time.Second)
		synctest.Wait()
		if _, err := io.ReadAll(conn); err != nil {
			t.Error(err)
		}
	})
}

// A header that does not end is cut off.
func TestLargeHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := listen.NewPipe()
		server := admin.NewServer(newFake().handler())
		go server.Serve(pipe)
		defer server.Close()
		conn, err := pipe.Dial()
		if err != nil {
			t.Fatal(err)
		}
		go io.WriteString(conn, "GET /groups HTTP/1.1\r\nX: "+strings.Repeat("x", 1<<20))
		answer, _ := io.ReadAll(conn)
		if !strings.Contains(string(answer), " 431 ") {
			t.Errorf("answered with %q", answer)
		}
		conn.Close()
	})
}

// Connections that are over are not counted: who has opened more than there may be keeps nobody waiting.
func TestClosedConnectionsAreNotCounted(t *testing.T) {
	dir := serve(t, newFake().handler())
	var conns []net.Conn
	for range 40 {
		conn, err := net.Dial("unix", filepath.Join(dir, admin.SocketName))
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		conn.Close()
	}
	c, err := admin.Connect(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Groups(t.Context(), 0, false); err != nil {
		t.Error(err)
	}
}

// A server that answers nonsense, or something else than the API, is an error and no panic.
func TestAnswersThatAreWrong(t *testing.T) {
	for _, text := range []string{"", "{", "[]", "null and more", strings.Repeat("[", 1<<16), `{"groups":7}`} {
		dir := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/privacy" {
				w.WriteHeader(http.StatusTeapot)
			}
			io.WriteString(w, text)
		}))
		c, err := admin.Connect(dir)
		if err != nil {
			t.Fatal(err)
		}
		groups, err := c.Groups(t.Context(), 0, false)
		if err == nil && text != "null and more" || len(groups) > 0 {
			t.Errorf("%.20q: %v, %v", text, groups, err)
		}
		refused, _ := errors.AsType[*admin.RefusedError](func() error { _, err := c.Privacy(t.Context()); return err }())
		if refused == nil || !strings.Contains(refused.Text, "418") {
			t.Errorf("%.20q: %v", text, refused)
		}
	}
}
