package proxy

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"openmediator/bench/compare/process"
)

// Program is a proxy that comes as a Debian package.
type Program struct {
	Name    string // of the program
	Package string
	command func(program, address, target, dir string) ([]string, error)
}

// Proxies from Debian, each with one listener and one target.
var (
	Nginx      = Program{"nginx", "nginx", nginx}
	HAProxy    = Program{"haproxy", "haproxy", haproxy}
	Websockify = Program{"websockify", "websockify", websockify}
)

// Missing says what has to be installed.
func (p Program) Missing() error {
	if _, err := process.Find(p.Name, p.Package); err != nil {
		return err
	}
	if p.Name == Nginx.Name {
		if _, err := os.Stat(nginxStream); err != nil {
			return fmt.Errorf("nginx: has no module for TCP; make compare-packages installs it, or: apt-get install libnginx-mod-stream")
		}
	}
	return nil
}

// Start starts the proxy, with an empty directory for its files.
func (p Program) Start(ctx context.Context, target, dir string) (*process.Server, string, error) {
	program, err := process.Find(p.Name, p.Package)
	if err != nil {
		return nil, "", err
	}
	address, err := process.FreeAddress()
	if err != nil {
		return nil, "", err
	}
	command, err := p.command(program, address, target, dir)
	if err != nil {
		return nil, "", err
	}
	server, err := process.Start(ctx, address, command...)
	return server, address, err
}

// nginxStream is where the package libnginx-mod-stream puts its module.
const nginxStream = "/usr/lib/nginx/modules/ngx_stream_module.so"

const nginxConfiguration = `load_module %s;
daemon off;
pid %s/pid;
error_log stderr;
events {}
stream { server { listen %s; proxy_pass %s; tcp_nodelay on; } }
`

func nginx(program, address, target, dir string) ([]string, error) {
	file := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(nginxConfiguration, nginxStream, dir, address, target)
	return []string{program, "-e", "stderr", "-c", file}, os.WriteFile(file, []byte(text), 0o600)
}

const haproxyConfiguration = `defaults
	mode tcp
	timeout connect 5s
	timeout client 1m
	timeout server 1m
listen proxy
	bind %s
	server chat %s
`

func haproxy(program, address, target, dir string) ([]string, error) {
	file := filepath.Join(dir, "haproxy.cfg")
	text := fmt.Sprintf(haproxyConfiguration, address, target)
	return []string{program, "-db", "-f", file}, os.WriteFile(file, []byte(text), 0o600)
}

func websockify(program, address, target, _ string) ([]string, error) {
	return []string{program, address, target}, nil
}
