package main

import (
	"net"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"openmediator/access"
	"openmediator/admin"
	"openmediator/admin/page"
	"openmediator/certificates"
	"openmediator/d2m"
	"openmediator/mediator"
	"openmediator/metrics"
	"openmediator/reflect"
	"openmediator/reflect/boltstore"
)

// operation is a server as its operator sees it.
type operation struct {
	data     string // directory; empty: none
	settings *atomic.Pointer[settings]
	server   *mediator.Server
	access   *access.Access
	store    reflect.Store
	source   certificates.Source // nil without TLS
}

// privateSide is what serves the operator.
type privateSide struct {
	census  *metrics.Census
	page    *page.Page // nil if nothing is served
	servers []*http.Server
	running sync.WaitGroup
}

// servePrivate serves the private side until close: on the socket in the data directory, and where admin-listen says. Without a
// directory there is nothing of it.
func servePrivate(o *operation) (*privateSide, error) {
	p := &privateSide{census: metrics.NewCensus(o.server.Survey)}
	if o.data == "" {
		return p, nil
	}
	p.page = page.New(&shown{o, time.Now()})
	parts := o.parts(p.census)
	base, err := p.serveAt(o.settings.Load().admin, o, parts)
	if err != nil {
		p.close()
		return nil, err
	}
	socket, err := admin.Listen(o.data)
	if err != nil {
		p.close()
		return nil, err
	}
	p.serve(socket, p.page.Trusted(o.trusted(parts), base))
	return p, nil
}

// parts are what the private side is made of wherever it is.
func (o *operation) parts(census *metrics.Census) admin.Options {
	return admin.Options{
		Server:  o.server,
		Verdict: func(group d2m.GroupID) string { return o.access.List().Verdict(group).String() },
		Known:   func() (admin.Knowledge, error) { return o.settings.Load().known(o.server, o.access) },
		Metrics: metrics.Handler(o.metrics(census)),
	}
}

// trusted is the handler for a socket that only the server's user reaches.
func (o *operation) trusted(parts admin.Options) http.Handler {
	parts.Data = keeperOf(o.data, o.store)
	return admin.Handler(parts)
}

func (o *operation) metrics(census *metrics.Census) metrics.Options {
	from := metrics.Options{Server: o.server, Census: census, Build: metrics.Build{Version: moduleVersion(), Go: runtime.Version()}}
	if store, ok := o.store.(*boltstore.Store); ok {
		from.Store = func() metrics.StoreStats { return metrics.StoreStats(store.Stats()) }
	}
	from.Expires = func() time.Time {
		if o.source == nil {
			return time.Time{}
		}
		return o.source.Expires()
	}
	return from
}

// serveAt serves the private side at an address. Where others than the server's user reach it, it is behind the token; base is
// where a browser finds it then, as http://HOST:PORT.
func (p *privateSide) serveAt(at adminAddress, o *operation, parts admin.Options) (base string, err error) {
	var handler http.Handler
	switch at.network {
	case "":
		return "", nil
	case "tcp":
		token, err := admin.OpenToken(o.data)
		if err != nil {
			return "", err
		}
		handler = p.page.Guarded(token.Require(admin.Handler(parts)), string(token))
	default:
		handler = p.page.Trusted(o.trusted(parts), "")
	}
	l, err := at.open()
	if err != nil {
		return "", err
	}
	if at.network == "tcp" {
		at.name = l.Addr().String()
		base = "http://" + fromHere(l.Addr())
	}
	o.settings.Load().server.Log.Info().Str("admin", at.String()).Msg("private side")
	p.serve(l, handler)
	return base, nil
}

// fromHere returns a HOST:PORT by which this machine reaches a listener.
func fromHere(listener net.Addr) string {
	tcp, ok := listener.(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return listener.String()
}

func (p *privateSide) serve(l net.Listener, handler http.Handler) {
	server := admin.NewServer(handler)
	p.servers = append(p.servers, server)
	p.running.Go(func() { _ = server.Serve(l) }) // ends by close
}

// close cuts off whoever is served.
func (p *privateSide) close() {
	for _, server := range p.servers {
		server.Close()
	}
	p.running.Wait()
	if p.page != nil {
		p.page.Close()
	}
	p.census.Close()
}
