package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"openmediator/csp"
	"openmediator/d2m"
)

// What the parrot sends back is what is due, if it is cut as a mediator has to.
func TestParrotSendsBackWhatIsDue(t *testing.T) {
	p, err := newParrot()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for name, o := range map[string]order{
		"all":                      {plan: repeats},
		"up to its end":            {plan: hangsUp, limit: csp.ServerHelloSize + 1000},
		"up to what fits nowhere":  {plan: exceeds, limit: csp.ServerHelloSize + csp.LoginAckSize},
		"not even the first frame": {plan: hangsUp, limit: csp.ServerHelloSize + csp.LoginAckSize},
	} {
		t.Run(name, func(t *testing.T) {
			c, random := chat{order: o}, rand.New(rand.NewPCG(1, 2))
			conn, err := net.Dial("tcp", p.address())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			var sent bytes.Buffer
			for units := 0; units < 10 || o.ends() && !c.isOver(); units++ {
				sent.Write(c.next(random))
			}
			conn.Write(sent.Bytes())
			conn.(*net.TCPConn).CloseWrite()
			got, err := io.ReadAll(conn)
			if err != nil {
				t.Fatal(err)
			}
			if missing := c.missing(); missing == "" {
				t.Error("nothing is missing before anything has come")
			}
			framer := csp.NewFramer(d2m.MaxProxyDataSize)
			for {
				n, err := framer.Next(got)
				if (err != nil) != (n == 0 && o.plan == exceeds) {
					t.Fatal(err)
				}
				if n == 0 {
					break
				}
				c.take(got[:n])
				got = got[n:]
			}
			if c.wrong != "" || c.missing() != "" {
				t.Error(c.wrong, c.missing())
			}
		})
	}
}

func TestWhatComesFromTheChatServerIsCompared(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, test := range map[string]struct {
		come func(first, second []byte) [][]byte
		fine bool
	}{
		"both":          {func(a, b []byte) [][]byte { return [][]byte{a, b} }, true},
		"in one":        {func(a, b []byte) [][]byte { return [][]byte{append(a[:len(a):len(a)], b...)} }, false},
		"in two pieces": {func(a, _ []byte) [][]byte { return [][]byte{a[:10], a[10:]} }, false},
		"out of order":  {func(a, b []byte) [][]byte { return [][]byte{b, a} }, false},
		"twice":         {func(a, b []byte) [][]byte { return [][]byte{a, b, b} }, false},
		"nothing":       {func(a, b []byte) [][]byte { return [][]byte{a, b, nil} }, false},
	} {
		c := chat{}
		for _, data := range test.come(c.next(random), c.next(random)) {
			c.take(data)
		}
		if (c.wrong == "") != test.fine {
			t.Errorf("%s: %q", name, c.wrong)
		}
	}
}

func TestFateOfAChatConnection(t *testing.T) {
	for plan, want := range map[chatPlan]d2m.CloseCode{
		repeats: 0, rests: 0, hangsUp: d2m.CloseChatServerClosed, exceeds: d2m.CloseChatServerInternal,
		refuses: d2m.CloseChatServerUnreachable, isNotKnown: d2m.CloseChatServerUnreachable,
	} {
		c := chat{order: order{plan: plan, limit: 500}}
		if fate := c.fate(); fate != 0 {
			t.Errorf("plan %d: %d before anything is sent", plan, fate)
		}
		c.sent = 500
		if fate := c.fate(); fate != want {
			t.Errorf("plan %d: %d, want %d", plan, fate, want)
		}
	}
}
