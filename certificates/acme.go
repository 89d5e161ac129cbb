package certificates

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/crypto/acme"

	"openmediator/internal/durable"
)

// DefaultDirectory is the certificate authority that is asked unless another one is named.
const DefaultDirectory = acme.LetsEncryptURL

// ACMEConfig is what an [ACME] needs to know.
type ACMEConfig struct {
	Dir       string         // of its keys and its certificate
	Domains   []string       // 1 to 100 host names, as CheckDomain allows them
	Email     string         // where the authority writes if something is wrong; empty: nowhere
	Directory string         // URL of the authority's directory
	Roots     *x509.CertPool // whom to trust when speaking with the authority; nil: the system's
	Log       zerolog.Logger
}

// ACME is a Source that has its certificate made by an authority, and proves on the server's own port that the names are
// the server's. The authority connects to port 443 of each name.
//
// It has no certificate when it is new; handshakes fail until then. What it has got is kept, and used after a restart.
type ACME struct {
	own
	config ACMEConfig
	client *http.Client

	mu         sync.Mutex
	challenges map[string]*tls.Certificate // by name
}

// NewACME reads the certificate of an earlier run, if there is one. What stands in the way of the next is told by Run, in the
// log, for the server can do without it for long.
func NewACME(config ACMEConfig) (*ACME, error) {
	keys, err := OpenKeys(config.Dir)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: config.Roots}
	a := &ACME{
		config:     config,
		client:     &http.Client{Transport: transport, Timeout: time.Minute},
		challenges: make(map[string]*tls.Certificate),
	}
	a.own = newOwn(keys, a, config.Log)
	if _, err := keys.Present(); err != nil {
		return nil, err
	}
	a.readStored()
	return a, nil
}

// readStored takes up the certificate of an earlier run. One that has expired is of no use, and its key stands elsewhere.
func (a *ACME) readStored() {
	path := a.storedFile()
	certificate, err := Load(path, path, time.Now())
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		a.log.Warn().Str("cause", err.Error()).Msg("TLS certificate of an earlier run cannot be used: another one is obtained")
	default:
		a.current.Store(certificate)
	}
}

// storedFile is where the certificate and the key that it was made for are: one file for each authority.
func (a *ACME) storedFile() string {
	host := "acme"
	if u, err := url.Parse(a.config.Directory); err == nil {
		host += "-" + strings.ReplaceAll(u.Host, ":", "-")
	}
	return filepath.Join(a.config.Dir, filepath.Base(host)+".pem")
}

// Config implements Source.
func (a *ACME) Config() *tls.Config { return withChallenges(newConfig(a.get)) }

// get returns the certificate, or to the authority what it wants to see.
func (a *ACME) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if !slices.Equal(hello.SupportedProtos, []string{acme.ALPNProto}) {
		return a.current.get(hello)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if challenge := a.challenges[strings.ToLower(hello.ServerName)]; challenge != nil {
		return challenge, nil
	}
	return nil, errNone
}

// covers implements issuer.
func (a *ACME) covers(certificate *tls.Certificate) bool {
	return coversNames(certificate, a.config.Domains)
}

// issue implements issuer.
func (a *ACME) issue(ctx context.Context, key crypto.Signer) (*tls.Certificate, error) {
	defer a.client.CloseIdleConnections()
	account, err := loadOrMake(filepath.Join(a.config.Dir, "acme-account.pem"))
	if err != nil {
		return nil, err
	}
	client := &acme.Client{Key: account, HTTPClient: a.client, DirectoryURL: a.config.Directory, UserAgent: "openmediator"}
	if err := a.register(ctx, client); err != nil {
		return nil, fmt.Errorf("account: %w", err)
	}
	chain, err := a.order(ctx, client, key)
	if err != nil {
		return nil, err
	}
	return a.store(chain, key)
}

// register makes the account, or finds it again by its key.
func (a *ACME) register(ctx context.Context, client *acme.Client) error {
	account := &acme.Account{}
	if a.config.Email != "" {
		account.Contact = []string{"mailto:" + a.config.Email}
	}
	_, err := client.Register(ctx, account, acme.AcceptTOS)
	if errors.Is(err, acme.ErrAccountAlreadyExists) {
		return nil
	}
	return err
}

// order proves that the names are the server's, and returns the chain.
func (a *ACME) order(ctx context.Context, client *acme.Client, key crypto.Signer) ([][]byte, error) {
	order, err := client.AuthorizeOrder(ctx, acme.DomainIDs(a.config.Domains...))
	if err != nil {
		return nil, fmt.Errorf("order: %w", err)
	}
	for _, link := range order.AuthzURLs {
		if err := a.authorize(ctx, client, link); err != nil {
			return nil, err
		}
	}
	if _, err = client.WaitOrder(ctx, order.URI); err != nil {
		return nil, fmt.Errorf("order: %w", err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: a.config.Domains}, key)
	if err != nil {
		return nil, err
	}
	chain, _, err := client.CreateCertFromOrder(ctx, order, request, true)
	if err != nil {
		return nil, fmt.Errorf("order: %w", err)
	}
	return chain, nil
}

// authorize proves that one name is the server's.
func (a *ACME) authorize(ctx context.Context, client *acme.Client, link string) error {
	authorization, err := client.GetAuthorization(ctx, link)
	if err != nil {
		return fmt.Errorf("authorization: %w", err)
	}
	name := authorization.Identifier.Value
	if authorization.Status == acme.StatusValid {
		return nil
	}
	at := slices.IndexFunc(authorization.Challenges, func(c *acme.Challenge) bool { return c.Type == "tls-alpn-01" })
	if at < 0 {
		return fmt.Errorf("domain %s: the authority does not offer tls-alpn-01; name another one with --acme-directory", name)
	}
	challenge := authorization.Challenges[at]
	answer, err := client.TLSALPN01ChallengeCert(challenge.Token, name)
	if err != nil {
		return fmt.Errorf("domain %s: %w", name, err)
	}
	a.setChallenge(name, &answer)
	defer a.setChallenge(name, nil)
	if _, err := client.Accept(ctx, challenge); err != nil {
		return fmt.Errorf("domain %s: %w", name, err)
	}
	if _, err := client.WaitAuthorization(ctx, authorization.URI); err != nil {
		return fmt.Errorf("domain %s: the authority has not found this server at port 443: %w", name, err)
	}
	return nil
}

func (a *ACME) setChallenge(name string, answer *tls.Certificate) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if answer == nil {
		delete(a.challenges, strings.ToLower(name))
		return
	}
	a.challenges[strings.ToLower(name)] = answer
}

// store keeps a certificate, if it is what was asked for.
func (a *ACME) store(chain [][]byte, key crypto.Signer) (*tls.Certificate, error) {
	if len(chain) == 0 {
		return nil, errors.New("certificate: the authority has sent none")
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, fmt.Errorf("certificate: the authority has sent a damaged one: %w", err)
	}
	certificate := &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}
	if err := checkUse(leaf, time.Now()); err != nil {
		return nil, fmt.Errorf("certificate: what the authority has sent %w", err)
	}
	if PinOf(leaf) != PinOfKey(key) || !a.covers(certificate) {
		return nil, errors.New("certificate: what the authority has sent is for another key or other names")
	}
	text, err := encode(certificate)
	if err != nil {
		return nil, err
	}
	if err := durable.Replace(a.storedFile(), text, 0o600); err != nil {
		a.log.Error().Str("cause", withoutPath(err).Error()).Str("file", a.storedFile()).
			Msg("TLS certificate cannot be kept: after a restart another one is obtained")
	}
	return certificate, nil
}

// retryAfter is how long an authority wants to be left alone after an error; 0 if it does not say.
func retryAfter(err error) time.Duration {
	var refused *acme.Error
	if errors.As(err, &refused) {
		wait, _ := acme.RateLimit(refused)
		return min(wait, 7*24*time.Hour)
	}
	return 0
}

// CheckDomain says why a name cannot be had a certificate for.
func CheckDomain(name string) error {
	labels := strings.Split(name, ".")
	switch {
	case strings.HasPrefix(name, "*."):
		return fmt.Errorf("%q stands for many names, for which TLS-ALPN-01 proves nothing; name each", name)
	case len(name) > 253 || len(labels) < 2:
		return fmt.Errorf("%q is not a full host name such as mediator.example.net", name)
	case labels[len(labels)-1] != "" && strings.Trim(labels[len(labels)-1], "0123456789") == "":
		return fmt.Errorf("%q is an address; name the host", name)
	}
	for _, label := range labels {
		if !isLabel(label) {
			return fmt.Errorf("%q is not a host name: %q is not 1 to 63 of a-z, 0-9 and - (a name with other letters is "+
				"written as xn--…)", name, label)
		}
	}
	return nil
}

func isLabel(label string) bool {
	return len(label) > 0 && len(label) <= 63 && label[0] != '-' && label[len(label)-1] != '-' &&
		strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
