package main

import (
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"openmediator/certificates"
)

func newPinCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pin",
		Short: "Prints what clients need to know the server by: pins and URL",
		Long: `Prints the pin of the server's present TLS key, that of the key which will follow it, and the URL for the configuration of
clients. It may run beside the server, and before its first start; it takes the same settings.

A pin is the SHA-256 of the public key (SubjectPublicKeyInfo), in base64. A certificate is renewed with the same key, so the
pin stays. The next key is made ahead: give its pin to clients as well, and the key can be replaced some day, or at once if
the present one is stolen, without a client that cannot connect any more.

To replace it, with acme-domain or tls-dev: --rotate makes the next key the present one and makes a new next one. A running
server gets a certificate for it within seconds, and shows the old one until then. With tls-cert the keys are yours: have a
certificate made for the next key, whose file is printed, and put both in place of the old files; a running server takes them
up. Then this command makes a new next key.

The URL is public-url, else made of the name and port that are known. {deviceGroupIdPrefix8} stands for the first two
hexadecimal digits of the device group's id, {deviceGroupIdPrefix4} for the first one: clients put them there. This server
does not look at them, but others can spread load by them later.

` + exitCodes,
		Example: `  mediator pin --data /var/lib/mediator --listen wss://:443 --tls-cert fullchain.pem --tls-key privkey.pem
  mediator pin --config /etc/mediator/mediator.toml --json
  mediator pin --config /etc/mediator/mediator.toml --rotate`,
		Args: arguments(),
	}
	src := addServerSettings(cmd, append([]string{"data", "public-url"}, tlsNames...)...)
	rotate := cmd.Flags().Bool("rotate", false, "use the next key from now on, and make a new next one")
	json := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := src.load()
		if err != nil {
			return err
		}
		p, err := s.findPins(*rotate)
		if err != nil {
			return err
		}
		return (&printer{json: *json, out: cmd.OutOrStdout()}).print(p)
	}
	return cmd
}

// pins are what clients know a server by.
type pins struct {
	Event   string           `json:"event"`
	Pin     certificates.Pin `json:"pin"`
	Backup  certificates.Pin `json:"backup_pin"`
	NextKey string           `json:"next_key"` // file
	URL     string           `json:"url"`
	CA      string           `json:"ca,omitempty"` // file
}

func (p pins) String() string {
	text := fmt.Sprintf("pin         %s\nbackup pin  %s   (%s)\nURL         %s", p.Pin, p.Backup, p.NextKey, p.URL)
	if p.CA != "" {
		text += "\nCA          " + p.CA
	}
	return text
}

// findPins looks the keys up, after the next one has become the present one if that is wanted.
func (s *settings) findPins(rotate bool) (*pins, error) {
	if len(s.tls.sources()) == 0 {
		return nil, usage("pin: no TLS is configured; set tls-cert and tls-key, acme-domain or tls-dev as for the server")
	}
	data, err := s.dataDirectory()
	if err != nil {
		return nil, err
	}
	keys, err := certificates.OpenKeys(tlsDirectory(data))
	if err != nil {
		return nil, err
	}
	if rotate {
		if err := s.rotate(keys); err != nil {
			return nil, err
		}
	}
	p := &pins{Event: "pin", NextKey: keys.NextFile()}
	leaf, err := s.present(keys, p)
	if err != nil {
		return nil, err
	}
	if err := p.findBackup(keys); err != nil {
		return nil, err
	}
	if s.tls.development {
		d, err := certificates.NewDevelopment(tlsDirectory(data), developmentNames(s.listen), zerolog.Nop())
		if err != nil {
			return nil, err
		}
		p.CA = d.CAFile()
	}
	p.URL, err = s.clientURL(leaf)
	return p, err
}

func (s *settings) rotate(keys *certificates.Keys) error {
	if s.tls.cert != "" {
		return usage("pin: --rotate is for keys of the server's own, and with tls-cert they are yours: have a certificate made for "+
			"the key in %s, and put both in place of %s and %s", keys.NextFile(), s.tls.cert, s.tls.key)
	}
	return keys.Rotate()
}

// present sets the pin of the present key. The certificate is nil if that is not the operator's.
func (s *settings) present(keys *certificates.Keys, p *pins) (leaf *x509.Certificate, err error) {
	if s.tls.cert == "" {
		key, err := keys.Present()
		if err == nil {
			p.Pin = certificates.PinOfKey(key)
		}
		return nil, err
	}
	if leaf, err = certificates.Leaf(s.tls.cert); err == nil {
		p.Pin = certificates.PinOf(leaf)
	}
	return leaf, err
}

// findBackup sets the pin of the next key, which is another one when the operator has begun to use it.
func (p *pins) findBackup(keys *certificates.Keys) error {
	next, err := keys.Next()
	if err == nil && certificates.PinOfKey(next) == p.Pin {
		if err = keys.ReplaceNext(); err == nil {
			next, err = keys.Next()
		}
	}
	if err != nil {
		return err
	}
	p.Backup = certificates.PinOfKey(next)
	return nil
}

// clientURL is the URL in the configuration of clients.
func (s *settings) clientURL(leaf *x509.Certificate) (string, error) {
	base := s.publicURL
	if base == "" {
		host, err := s.publicHost(leaf)
		if err != nil {
			return "", err
		}
		base = "wss://" + host
	}
	if strings.Contains(base, "{") {
		return base, nil
	}
	return strings.TrimSuffix(base, "/") + "/{deviceGroupIdPrefix8}/", nil
}

// publicHost is the host, and the port if that is another one than wss has, by which clients reach the server.
func (s *settings) publicHost(leaf *x509.Certificate) (string, error) {
	host, port := "", ""
	for _, a := range s.listen {
		if a.secure && a.network == "tcp" && port == "" {
			host, port, _ = net.SplitHostPort(a.name)
		}
	}
	switch ip := net.ParseIP(host); {
	case len(s.tls.domains) > 0:
		host = s.tls.domains[0]
	case leaf != nil && len(leaf.DNSNames) > 0:
		host = strings.Replace(leaf.DNSNames[0], "*", "{deviceGroupIdPrefix4}", 1)
	case leaf != nil && len(leaf.IPAddresses) > 0:
		host = leaf.IPAddresses[0].String()
	case host == "" || ip.IsUnspecified():
		name, err := os.Hostname()
		if err != nil {
			return "", usage("pin: the name of the server is not known; set public-url")
		}
		host = name
	}
	if port == "" || port == "443" || port == "0" {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return host, nil
	}
	return net.JoinHostPort(host, port), nil
}
