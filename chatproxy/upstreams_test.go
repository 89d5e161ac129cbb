package chatproxy

import (
	"strings"
	"testing"
)

func parseUpstreams(t *testing.T, texts ...string) *Upstreams {
	t.Helper()
	u, err := ParseUpstreams(texts, DefaultPattern)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestB35_ServerGroupChoosesTheUpstream(t *testing.T) {
	for name, c := range map[string]struct {
		upstreams   []string
		serverGroup string
		want        string // empty: none
	}{
		"fixed":                      {[]string{"chat.example.net:5222"}, "anything", "chat.example.net:5222"},
		"fixed address":              {[]string{"192.0.2.1:5222"}, "0", "192.0.2.1:5222"},
		"fixed IPv6 address":         {[]string{"[2001:db8::1]:5222"}, "0", "[2001:db8::1]:5222"},
		"fixed name of one label":    {[]string{"chatserver:5222"}, "0", "chatserver:5222"},
		"by group":                   {[]string{"4f=a.example:1", "50=b.example:2"}, "50", "b.example:2"},
		"by group, none":             {[]string{"4f=a.example:1"}, "50", ""},
		"by group, by letters' case": {[]string{"4f=a.example:1"}, "4F", ""},
		"none":                       {nil, "4f", ""},
		"template":                   {[]string{"g-{server_group}.example.net:5222"}, "4f", "g-4f.example.net:5222"},
		"template, one digit":        {[]string{"g-{server_group}.example.net:5222"}, "0", "g-0.example.net:5222"},
		"template, capitals":         {[]string{"{server_group}x.a.example:5222"}, "AB", "ABx.a.example:5222"},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := parseUpstreams(t, c.upstreams...).Address(c.serverGroup)
			if ok != (c.want != "") || ok && got != c.want {
				t.Errorf("address is %q, %v", got, ok)
			}
		})
	}
}

// What a device may name as its server group never becomes a host of its choice.
func TestB35_TemplateIsNoOpenProxy(t *testing.T) {
	open, err := ParseUpstreams([]string{"{server_group}.example.net:5222"}, "[0-9a-zA-Z]+")
	if err != nil {
		t.Fatal(err)
	}
	narrow := parseUpstreams(t, "{server_group}.example.net:5222")
	long := strings.Repeat("a", 63)
	for _, group := range []string{
		"localhost", "2130706433", "0x7f000001", "127", long, long + "a", "", "4f.", "4f:1", "4f\n", "a.b", "-1", "4f/", "é",
		"127.0.0.1:1#",
	} {
		if address, ok := narrow.Address(group); ok {
			t.Errorf("%q goes to %q", group, address)
		}
		address, ok := open.Address(group)
		if ok && address != group+".example.net:5222" {
			t.Errorf("%q goes to %q with a wide pattern", group, address)
		}
		if ok != isServerGroup(group) {
			t.Errorf("%q: %v with a wide pattern", group, ok)
		}
	}
	prefixed, err := ParseUpstreams([]string{"g-{server_group}.example.net:5222"}, ".*")
	if err != nil {
		t.Fatal(err)
	}
	if address, ok := prefixed.Address(long); ok {
		t.Errorf("a label of 65 characters is taken: %q", address)
	}
	// A pattern has to match as a whole, whatever alternatives it has.
	alternatives, err := ParseUpstreams([]string{"g-{server_group}.example.net:5222"}, "a|b")
	if err != nil {
		t.Fatal(err)
	}
	if address, ok := alternatives.Address("ax"); ok {
		t.Errorf("a part of the server group matches: %q", address)
	}
}

func TestUpstreamsThatAreRefused(t *testing.T) {
	const two = "only addresses of the form SERVERGROUP=HOST:PORT can be more than one"
	const follow = "at least two labels have to follow the one with {server_group}"
	const number = "is not a number from 1 to 65535"
	const neither = "is neither an IP address nor the name of a host"
	for _, c := range []struct {
		upstreams []string
		want      string
	}{
		{[]string{"{server_group}:5222"}, follow},
		{[]string{"{server_group}.local:5222"}, follow},
		{[]string{"g-{server_group}.local:5222"}, follow},
		{[]string{"chat.{server_group}.example.net:5222"}, "has to stand in the first label"},
		{[]string{"chat.example.net:{server_group}"}, number},
		{[]string{"{server_group}.example.net:52{server_group}"}, number},
		{[]string{"{server_group}{server_group}.example.net:5222"}, "more than once"},
		{[]string{"{server_group}.{server_group}.example.net:5222"}, "more than once"},
		{[]string{"{server_group}.0.0.1:5222"}, neither},
		{[]string{"{server_group}.0.0.0x1:5222"}, neither},
		{[]string{"{server_group}..example.net:5222"}, neither},
		{[]string{"{server_group}.example.net.:5222"}, neither},
		{[]string{"-{server_group}.example.net:5222"}, neither},
		{[]string{"[::{server_group}]:5222"}, follow},
		{[]string{"{server_group}.example.net"}, "is not HOST:PORT"},
		{[]string{"{server_group}.example.net:0"}, number},
		{[]string{"4f={server_group}.example.net:5222"}, "a template stands alone"},
		{[]string{""}, "is not HOST:PORT"},
		{[]string{":5222"}, "is not HOST:PORT"},
		{[]string{"chat.example.net:65536"}, number},
		{[]string{"chat.example.net:xmpp"}, number},
		{[]string{"chat_server.example.net:5222"}, neither},
		{[]string{"2130706433:5222"}, neither},
		{[]string{"0x7f000001:5222"}, neither},
		{[]string{"127.1:5222"}, neither},
		{[]string{strings.Repeat("a", 64) + ".net:5222"}, neither},
		{[]string{strings.Repeat("a.", 126) + "net:5222"}, neither},
		{[]string{"=a.example:1"}, "is not a server group"},
		{[]string{"4f g=a.example:1"}, "is not a server group"},
		{[]string{strings.Repeat("a", 64) + "=a.example:1"}, "is not a server group"},
		{[]string{"4f=a.example:1", "4f=b.example:1"}, "server group 4f has an address already"},
		{[]string{"a.example:1", "b.example:1"}, two},
		{[]string{"a.example:1", "4f=b.example:1"}, two},
		{[]string{"4f=b.example:1", "a.example:1"}, two},
		{[]string{"{server_group}.example.net:1", "4f=b.example:1"}, two},
		{[]string{"4f=b.example:1", "{server_group}.example.net:1"}, two},
	} {
		_, err := ParseUpstreams(c.upstreams, DefaultPattern)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error is %v, want %q", c.upstreams, err, c.want)
		}
	}
	_, err := ParseUpstreams([]string{"{server_group}.example.net:5222"}, "[0-9")
	if err == nil || !strings.Contains(err.Error(), `"[0-9", is not a regular expression`) {
		t.Errorf("pattern: error is %v", err)
	}
}

func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"4f", "localhost", "127.0.0.1:80#", "a\x00b", strings.Repeat("f", 63)} {
		f.Add(seed)
	}
	u, err := ParseUpstreams([]string{"g-{server_group}.example.net:5222"}, ".*")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, group string) {
		address, ok := u.Address(group)
		if !ok {
			return
		}
		label, rest, _ := strings.Cut(address, ".")
		if label != "g-"+group || rest != "example.net:5222" || strings.ContainsAny(group, ".:/@#[] ") {
			t.Errorf("%q goes to %q", group, address)
		}
	})
}
