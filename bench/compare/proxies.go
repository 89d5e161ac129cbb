package main

import (
	"context"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"openmediator/bench/compare/process"
	"openmediator/bench/compare/proxy"
)

var (
	roundTrip = metric{"round_trip_p50_us", "round trip p50, µs"}
	upward    = metric{"up_mib_per_s", "up, MiB/s"}
	downward  = metric{"down_mib_per_s", "down, MiB/s"}
)

const mebibyte = 1 << 20

// proxyRow measures what stands between a device and its chat server.
func proxyRow() row {
	r := row{
		id: "proxy", title: "Proxy, round trips of 200 bytes and frames of 8 KiB",
		metrics: []metric{roundTrip, upward, downward},
		goals: []goal{
			{roundTrip, ownID, "copy", 1.1, true},
			{roundTrip, ownID, "nginx", 1.3, true},
			{roundTrip, ownID, "websockify", 0.7, true},
			{upward, ownID, "copy", 0.8, false},
			{downward, ownID, "copy", 0.8, false},
		},
		contestants: []contestant{
			{id: ownID, name: "**this server**", guarantee: "WebSocket; whole frames, cut from the stream and limited", run: mediatorProxy},
			{id: "direct", name: "no proxy", guarantee: "TCP", run: directProxy},
			peerProxy("copy", "io.Copy in Go", "TCP to TCP, spliced in the kernel"),
			peerProxy("copy-buffer", "io.Copy in Go, through a buffer", "TCP to TCP"),
			programProxy(proxy.Nginx, "nginx stream", "TCP to TCP", dialTCP),
			programProxy(proxy.HAProxy, "haproxy in TCP mode", "TCP to TCP", dialTCP),
			programProxy(proxy.Websockify, "websockify", "WebSocket; a stream of bytes", proxy.DialWebSocket),
			peerProxy("chisel", "chisel, its client included", "SSH in a WebSocket"),
		},
	}
	r.contestants[len(r.contestants)-1].version = func() (string, string) { return "chisel", moduleVersion("github.com/jpillora/chisel") }
	return r
}

func proxyFigures(r proxy.Result) figures {
	return figures{
		roundTrip.key: float64(r.RoundTrip.Quantile(0.5)) / float64(time.Microsecond),
		upward.key:    r.Up / mebibyte,
		downward.key:  r.Down / mebibyte,
	}
}

func dialTCP(address string) (net.Conn, error) {
	return net.DialTimeout("tcp", address, 20*time.Second)
}

// starter starts a proxy to a target.
type starter func(ctx context.Context, target, dir string) (*process.Server, string, error)

// throughProxy measures a proxy.
func throughProxy(start starter, dial func(address string) (net.Conn, error)) func(run) (figures, error) {
	return func(r run) (figures, error) {
		chat, err := proxy.Listen()
		if err != nil {
			return nil, err
		}
		defer chat.Close()
		server, address, err := start(r, chat.Address(), r.dir)
		if err != nil {
			return nil, err
		}
		defer server.Stop()
		return r.proxied(func() (net.Conn, error) { return dial(address) }, chat)
	}
}

func (r run) proxied(dial func() (net.Conn, error), chat *proxy.Chat) (figures, error) {
	result, err := proxy.Measure(r, dial, chat, r.Duration/4, r.Duration)
	if err != nil {
		return nil, err
	}
	return proxyFigures(result), nil
}

func directProxy(r run) (figures, error) {
	chat, err := proxy.Listen()
	if err != nil {
		return nil, err
	}
	defer chat.Close()
	return r.proxied(func() (net.Conn, error) { return dialTCP(chat.Address()) }, chat)
}

func programProxy(p proxy.Program, name, guarantee string, dial func(string) (net.Conn, error)) contestant {
	return contestant{
		id: p.Name, name: name, guarantee: guarantee, missing: p.Missing,
		version: func() (string, string) { return p.Name, debianVersion(p.Package) },
		run:     throughProxy(p.Start, dial),
	}
}

func peerProxy(id, name, guarantee string) contestant {
	start := func(ctx context.Context, target, _ string) (*process.Server, string, error) {
		return startPeer(ctx, id, target)
	}
	return contestant{id: id, name: name, guarantee: guarantee, run: throughProxy(start, dialTCP)}
}

func mediatorProxy(r run) (figures, error) {
	var result struct {
		RoundTrip struct {
			P50 float64 `json:"p50_us"`
		} `json:"round_trip_latency"`
		Up   float64 `json:"up_bytes_per_s"`
		Down float64 `json:"down_bytes_per_s"`
	}
	err := r.benchmark(&result, "proxy", "--warm-up", (r.Duration / 4).String(), "--duration", r.Duration.String())
	return figures{roundTrip.key: result.RoundTrip.P50, upward.key: result.Up / mebibyte, downward.key: result.Down / mebibyte}, err
}

// moduleVersion returns the version of a module that this program was built with.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, module := range info.Deps {
		if module.Path == path {
			return strings.TrimPrefix(module.Version, "v")
		}
	}
	return "unknown"
}
