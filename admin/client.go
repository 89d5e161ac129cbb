package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"openmediator/admin/page"
)

// maxAnswer is how much of an answer is read, bytes: a million groups.
const maxAnswer = 256 << 20

// maxReadiness is the same for what a stranger may answer, bytes.
const maxReadiness = 64 << 10

// ErrNotRunning says that no server listens on the socket.
var ErrNotRunning = errors.New("no server is running on this data directory")

// RefusedError is an answer that is an error.
type RefusedError struct {
	Status int    // of HTTP
	Text   string // one sentence
}

func (e *RefusedError) Error() string { return e.Text }

// Client calls the API of a server.
type Client struct {
	http http.Client
	what string // is called, for errors
}

// Connect looks for the server of a data directory. The error is ErrNotRunning if there is none, else one sentence for the
// operator.
func Connect(dir string) (*Client, error) {
	conn, err := dial(context.Background(), dir)
	switch {
	case err == nil:
		conn.Close()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, ErrNotRunning
	case errors.Is(err, syscall.ENOTDIR):
		return nil, fmt.Errorf("data directory %s: is not a directory; name the server's with --data", dir)
	default:
		return nil, fmt.Errorf("control socket %s: %w; run this as the server's user", filepath.Join(dir, SocketName), plain(err))
	}
	return newClient("control socket", func(ctx context.Context) (net.Conn, error) { return dial(ctx, dir) }), nil
}

// ConnectTo makes a client of a server whose private side is at an address: of network tcp, HOST:PORT, or of unix, the path of a
// socket. Over tcp there is only an answer to what needs no token.
func ConnectTo(network, address string) *Client {
	return newClient("private side "+address, func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	})
}

func newClient(what string, dial func(context.Context) (net.Conn, error)) *Client {
	return &Client{what: what, http: http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		DisableKeepAlives: true,
	}}}
}

func dial(ctx context.Context, dir string) (net.Conn, error) {
	short, release, err := shorten(dir)
	if err != nil {
		return nil, err
	}
	defer release()
	var d net.Dialer
	return d.DialContext(ctx, "unix", filepath.Join(short, SocketName))
}

// Groups returns the groups without a connected device for a time, with their ids or without.
func (c *Client) Groups(ctx context.Context, idle time.Duration, ids bool) ([]Group, error) {
	query := url.Values{"idle": {strconv.FormatInt(int64(idle/time.Second), 10)}, "ids": {strconv.FormatBool(ids)}}
	var answer Groups
	err := c.call(ctx, http.MethodGet, "/groups?"+query.Encode(), &answer)
	return answer.Groups, err
}

// Forget removes a group by its id or its pseudonym.
func (c *Client) Forget(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/groups/"+url.PathEscape(name), nil)
}

// Privacy returns what the server knows.
func (c *Client) Privacy(ctx context.Context) (known Knowledge, err error) {
	return known, c.call(ctx, http.MethodGet, "/privacy", &known)
}

// Link returns a link to the admin page.
func (c *Client) Link(ctx context.Context) (link page.Link, err error) {
	return link, c.call(ctx, http.MethodPost, page.LinkPath, &link)
}

// Ready returns whether devices should be sent to the server, and why.
func (c *Client) Ready(ctx context.Context) (ready Readiness, err error) {
	response, err := c.ask(ctx, http.MethodGet, readyPath)
	if err != nil {
		return ready, err
	}
	defer response.Body.Close()
	err = json.NewDecoder(io.LimitReader(response.Body, maxReadiness)).Decode(&ready)
	if err != nil || len(ready.Checks) == 0 || ready.Ready != (response.StatusCode == http.StatusOK) {
		return Readiness{}, fmt.Errorf("%s: answered with %s, and nothing that a mediator says", c.what, response.Status)
	}
	return ready, nil
}

// ask makes one call, whatever the answer is. The caller closes its body.
func (c *Client) ask(ctx context.Context, method, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://mediator"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.what, plain(err))
	}
	return response, nil
}

// do makes one call. The caller closes the body of the answer, which is none of an error.
func (c *Client) do(ctx context.Context, method, path string) (*http.Response, error) {
	response, err := c.ask(ctx, method, path)
	if err != nil || response.StatusCode < http.StatusMultipleChoices {
		return response, err
	}
	defer response.Body.Close()
	var failed failure
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&failed); err != nil || failed.Error == "" {
		failed.Error = c.what + ": answered with " + response.Status
	}
	return nil, &RefusedError{response.StatusCode, failed.Error}
}

// call makes one call and reads the answer, unless it is nil.
func (c *Client) call(ctx context.Context, method, path string, answer any) error {
	response, err := c.do(ctx, method, path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(answer); err != nil {
		return fmt.Errorf("%s: answer: %w", c.what, err)
	}
	return nil
}
