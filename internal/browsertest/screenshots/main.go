// Command screenshots makes the pictures of the admin page in docs/images: of a server that is made up, so that there is
// something of everything to see.
//
//	make screenshots
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"openmediator/admin/page"
	"openmediator/internal/browsertest/browser"
)

// warmUp is how long the server runs before its pictures are taken, so that the curve has something to show.
const warmUp = 30 * time.Second

// pictures are what is made.
var pictures = []struct {
	name          string
	width, height int64
	scheme        string
}{
	{"admin-page.png", 1280, 980, "light"},
	{"admin-page-phone.png", 390, 844, "light"},
}

func main() {
	to := filepath.Join("..", "..", "docs", "images")
	if len(os.Args) > 1 {
		to = os.Args[1]
	}
	if err := run(to); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(to string) error {
	ctx, cancel := context.WithTimeout(context.Background(), warmUp+time.Minute)
	defer cancel()
	p := page.New(newExample())
	defer p.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: p.Trusted(http.NotFoundHandler(), ""), ReadHeaderTimeout: time.Minute}
	go server.Serve(l)
	defer server.Close()
	select {
	case <-time.After(warmUp):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, picture := range pictures {
		tab, err := browser.Open(ctx, picture.width, picture.height)
		if err != nil {
			return err
		}
		var data []byte
		scheme := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: picture.scheme}}
		err = chromedp.Run(tab.Context, emulation.SetEmulatedMedia().WithFeatures(scheme), chromedp.Navigate("http://"+l.Addr().String()+"/"))
		if err == nil {
			err = tab.Await("document.querySelectorAll('.group').length > 3")
		}
		if err == nil {
			err = chromedp.Run(tab.Context, chromedp.CaptureScreenshot(&data))
		}
		tab.Close()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, picture.name), data, 0o644); err != nil {
			return err
		}
		fmt.Printf("%s: %d bytes\n", picture.name, len(data))
	}
	return nil
}
