package chatproxy

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	// Placeholder stands for the server group in a template.
	Placeholder = "{server_group}"

	// DefaultPattern is which server groups a template takes: one or two hex digits.
	DefaultPattern = "[0-9a-fA-F]{1,2}"

	maxServerGroupSize = 63  // d2m.md
	maxLabelSize       = 63  // RFC 1035
	maxHostSize        = 253 // RFC 1035, without the final dot
)

// Upstreams says at which address the chat server of a server group is. The zero value knows none.
type Upstreams struct {
	fixed   string            // of all server groups
	byGroup map[string]string // by server group
	before  string            // of the template, what stands before the placeholder
	after   string            // and behind it, the port included
	pattern *regexp.Regexp    // server groups that the template takes; nil if there is none
}

// ParseUpstreams reads the addresses of chat servers. That is either one HOST:PORT for all server groups, or one template
// HOST:PORT with [Placeholder] in HOST, or any number of SERVERGROUP=HOST:PORT. Pattern is a regular expression that a server
// group must match as a whole to be put into the template.
//
// In a template the placeholder stands in the first label of the name, and at least two labels follow, so that no device
// can make it an address of its choice.
func ParseUpstreams(texts []string, pattern string) (*Upstreams, error) {
	u := &Upstreams{byGroup: make(map[string]string)}
	for _, text := range texts {
		if err := u.add(text, pattern); err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
	}
	return u, nil
}

func (u *Upstreams) add(text, pattern string) error {
	group, address, mapped := strings.Cut(text, "=")
	switch {
	case u.fixed != "" || u.pattern != nil || !mapped && len(u.byGroup) > 0:
		return errors.New("only addresses of the form SERVERGROUP=HOST:PORT can be more than one")
	case mapped:
		return u.addGroup(group, address)
	case strings.Contains(text, Placeholder):
		return u.addTemplate(text, pattern)
	}
	if err := checkAddress(text); err != nil {
		return err
	}
	u.fixed = text
	return nil
}

func (u *Upstreams) addGroup(group, address string) error {
	if !isServerGroup(group) {
		return fmt.Errorf("%q is not a server group: 1 to 63 of 0-9, a-z, A-Z", group)
	}
	if strings.Contains(address, Placeholder) {
		return errors.New("a template stands alone, without a server group before it")
	}
	if _, twice := u.byGroup[group]; twice {
		return fmt.Errorf("server group %s has an address already", group)
	}
	if err := checkAddress(address); err != nil {
		return err
	}
	u.byGroup[group] = address
	return nil
}

func isServerGroup(text string) bool {
	for _, c := range []byte(text) {
		if !isAlphanumeric(c) {
			return false
		}
	}
	return 0 < len(text) && len(text) <= maxServerGroupSize
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || isLetter(c)
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func (u *Upstreams) addTemplate(text, pattern string) error {
	before, after, _ := strings.Cut(text, Placeholder)
	// A letter is in place of the placeholder wherever it may stand in a name, so what it makes is checked like one.
	host, err := checkPort(before + "g" + after)
	if err != nil {
		return err
	}
	labels := strings.Split(host, ".")
	switch {
	case strings.Contains(after, "{"):
		return fmt.Errorf("%s stands in it more than once", Placeholder)
	case strings.Contains(before, "."):
		return fmt.Errorf("%s has to stand in the first label of the name", Placeholder)
	case len(labels) < 3:
		return fmt.Errorf("at least two labels have to follow the one with %s, as in g-%[1]s.example.net:5222; "+
			"else a device could choose a host of its own", Placeholder)
	case checkName(host) != nil:
		return checkName(host)
	}
	if u.pattern, err = regexp.Compile(`\A(?:` + pattern + `)\z`); err != nil {
		return fmt.Errorf("the pattern of server groups, %q, is not a regular expression", pattern)
	}
	u.before, u.after = before, after
	return nil
}

// checkAddress checks a HOST:PORT.
func checkAddress(text string) error {
	host, err := checkPort(text)
	if err != nil {
		return err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	return checkName(host)
}

// checkPort returns the host of a HOST:PORT with a port that is a number.
func checkPort(text string) (host string, err error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" {
		return "", errors.New("is not HOST:PORT")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	return host, nil
}

// checkName checks the name of a host. Its last label begins with a letter: else resolvers may take it for an address.
func checkName(host string) error {
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if !isLabel(label) {
			return fmt.Errorf("%q is neither an IP address nor the name of a host", host)
		}
	}
	if len(host) > maxHostSize || !isLetter(labels[len(labels)-1][0]) {
		return fmt.Errorf("%q is neither an IP address nor the name of a host", host)
	}
	return nil
}

func isLabel(label string) bool {
	if label == "" || len(label) > maxLabelSize || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for _, c := range []byte(label) {
		if !isAlphanumeric(c) && c != '-' {
			return false
		}
	}
	return true
}

// Address returns the HOST:PORT of a server group's chat server, if it has one.
func (u *Upstreams) Address(serverGroup string) (address string, ok bool) {
	switch {
	case u.fixed != "":
		return u.fixed, true
	case u.pattern != nil:
		return u.expand(serverGroup)
	}
	address, ok = u.byGroup[serverGroup]
	return address, ok
}

// expand puts a server group into the template.
func (u *Upstreams) expand(serverGroup string) (address string, ok bool) {
	if !isServerGroup(serverGroup) || !u.pattern.MatchString(serverGroup) {
		return "", false
	}
	address = u.before + serverGroup + u.after
	return address, checkAddress(address) == nil
}

// Addresses returns all addresses there are but those of a template, which depend on the server group.
func (u *Upstreams) Addresses() []string {
	if u.fixed != "" {
		return []string{u.fixed}
	}
	return slices.Compact(slices.Sorted(maps.Values(u.byGroup)))
}

// Empty says whether no server group has a chat server.
func (u *Upstreams) Empty() bool { return u.fixed == "" && u.pattern == nil && len(u.byGroup) == 0 }
