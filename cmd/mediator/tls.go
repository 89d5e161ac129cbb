package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"openmediator/certificates"
)

// tlsSettings say where the certificate for wss:// comes from: files, an authority, or this server itself.
type tlsSettings struct {
	cert, key   string
	domains     domains
	acceptTerms bool
	email       string // empty: none
	directory   string
	roots       string // empty: the system's
	development bool
}

// domains are host names.
type domains []string

func parseDomains(text string) (all domains, err error) {
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if err := certificates.CheckDomain(name); err != nil {
			return nil, err
		}
		all = append(all, name)
	}
	return all, nil
}

// tlsNames are the settings that say how TLS is done, and where.
var tlsNames = []string{"listen", "tls-cert", "tls-key", "acme-domain", "acme-accept-terms", "acme-email", "acme-directory",
	"acme-ca", "tls-dev"}

// checkTLS wants exactly one source of certificates if there is something to listen on with TLS, and none otherwise.
func (s *settings) checkTLS() error {
	t := &s.tls
	sources := t.sources()
	secure := slices.ContainsFunc(s.listen, func(a address) bool { return a.secure })
	switch {
	case len(sources) > 1:
		return fmt.Errorf("%s: contradicts %s: certificates come from one place; leave one of them out", sources[1], sources[0])
	case (t.cert == "") != (t.key == ""):
		return errors.New("tls-cert: belongs together with tls-key; set both (they may be the same file)")
	case secure && len(sources) == 0:
		return errors.New("listen: wss:// needs a certificate: name the files with tls-cert and tls-key, or have one made with " +
			"acme-domain, or, to try it out, with tls-dev")
	case !secure && len(sources) > 0:
		return fmt.Errorf("%s: nothing listens with TLS; add listen wss://HOST:PORT, or leave it out", sources[0])
	}
	return t.checkACME()
}

// sources are the settings that each name a source of certificates.
func (t *tlsSettings) sources() (names []string) {
	if t.cert != "" || t.key != "" {
		names = append(names, "tls-cert")
	}
	if len(t.domains) > 0 {
		names = append(names, "acme-domain")
	}
	if t.development {
		names = append(names, "tls-dev")
	}
	return names
}

func (t *tlsSettings) checkACME() error {
	directory, err := url.Parse(t.directory)
	switch {
	case err != nil || directory.Scheme != "https" || directory.Host == "":
		return fmt.Errorf("acme-directory: %q is not https://HOST with any path", t.directory)
	case t.email != "" && (strings.Count(t.email, "@") != 1 || strings.ContainsAny(t.email, " ,<>?&")):
		return fmt.Errorf("acme-email: %q is not an address such as you@example.net", t.email)
	case len(t.domains) > 0 && !t.acceptTerms:
		return fmt.Errorf("acme-accept-terms: is not set: the authority at %s has terms of service; read them, then set it",
			directory.Host)
	case len(t.domains) == 0 && (t.email != "" || t.roots != ""):
		return errors.New("acme-domain: is missing, without which acme-email and acme-ca mean nothing; name the host, or leave them out")
	}
	return nil
}

// tlsDirectory is where the server's own keys and certificates are.
func tlsDirectory(data string) string { return filepath.Join(data, "tls") }

// open returns the source of certificates; nil if there is none.
func (t *tlsSettings) open(data string, listen []address, log zerolog.Logger) (certificates.Source, error) {
	switch {
	case t.cert != "":
		return wrongTLS(certificates.NewFiles(t.cert, t.key, log))
	case t.development:
		d, err := certificates.NewDevelopment(tlsDirectory(data), developmentNames(listen), log)
		if err == nil {
			log.Info().Str("file", d.CAFile()).Msg("development CA: clients trust it with mediator device --tls-ca FILE")
		}
		return wrongTLS(d, err)
	case len(t.domains) > 0:
		roots, err := readRoots("acme-ca", t.roots)
		if err != nil {
			return nil, err
		}
		return wrongTLS(certificates.NewACME(certificates.ACMEConfig{
			Dir: tlsDirectory(data), Domains: t.domains, Email: t.email, Directory: t.directory, Roots: roots, Log: log,
		}))
	}
	return nil, nil
}

// wrongTLS makes no source of one that could not be opened.
func wrongTLS[S certificates.Source](source S, err error) (certificates.Source, error) {
	if err != nil {
		return nil, err
	}
	return source, nil
}

// readRoots reads the authorities in a file; nil, which stands for the system's, if none is named.
func readRoots(setting, path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usage("%s: %s cannot be read: %v", setting, path, reason(err))
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, usage("%s: %s holds no certificate in PEM form", setting, path)
	}
	return roots, nil
}

// keepFresh runs a source until what it returns is called.
func keepFresh(source certificates.Source) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		source.Run(ctx)
		close(ended)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// developmentNames are the names by which clients may reach what a server listens on.
func developmentNames(listen []address) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if host, err := os.Hostname(); err == nil {
		add(host)
	}
	for _, a := range listen {
		host, _, _ := net.SplitHostPort(a.name)
		if ip, err := netip.ParseAddr(host); host == "" && a.network == "tcp" || err == nil && ip.IsUnspecified() {
			for _, own := range interfaceAddresses() {
				add(own)
			}
		} else if a.network == "tcp" {
			add(host)
		}
	}
	return names
}

// interfaceAddresses are the IP addresses of this machine.
func interfaceAddresses() (all []string) {
	networks, _ := net.InterfaceAddrs() // without them there are fewer names
	for _, network := range networks {
		if prefix, err := netip.ParsePrefix(network.String()); err == nil && prefix.Addr().IsGlobalUnicast() {
			all = append(all, prefix.Addr().String())
		}
	}
	return all
}

// checkCertificate looks whether the certificate fits its key. Those that the server has made are its own affair.
func checkCertificate(_ context.Context, i *inspection) []finding {
	t := &i.tls
	switch {
	case t.cert != "":
		certificate, err := certificates.Load(t.cert, t.key, time.Now())
		if err != nil {
			return found(resultFail, "%v", err)
		}
		return found(resultOK, "%s fits its key, and is valid until %s", t.cert, certificate.Leaf.NotAfter.Format(time.RFC3339))
	case len(t.domains) > 0:
		if _, err := readRoots("acme-ca", t.roots); err != nil {
			return found(resultFail, "%v", err)
		}
		return found(resultOK, "the certificate is made by the authority at %s", t.directory)
	case t.development:
		return found(resultWarn, "the certificate is made by an authority of this server's own, which clients have to be told to trust")
	}
	return found(resultOK, "nothing listens with TLS")
}
