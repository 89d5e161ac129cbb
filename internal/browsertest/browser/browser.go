// Package browser runs a headless Chromium and notes what its pages do: what they ask for, and what goes wrong.
package browser

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is for what is due at once.
const patience = 20 * time.Second

// Page is a browser with one page. Its profile is a new one, and goes with it.
type Page struct {
	Context context.Context // for chromedp.Run
	Close   func()

	mu       sync.Mutex
	requests []string
	errors   []string
}

// Open starts a browser with a window of a size, until Close or the end of ctx.
func Open(ctx context.Context, width, height int64) (*Page, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, // root has none
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("hide-scrollbars", true))
	allocator, release := chromedp.NewExecAllocator(ctx, options...)
	tab, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {})) // it names events that it does not know
	p := &Page{Context: tab, Close: func() {
		cancel()
		release()
	}}
	chromedp.ListenTarget(tab, p.note)
	err := chromedp.Run(tab, network.Enable(), log.Enable(), runtime.Enable(),
		emulation.SetDeviceMetricsOverride(width, height, 1, width < 600))
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("chromium: %w", err)
	}
	return p, nil
}

func (p *Page) note(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.URL)
	case *runtime.EventConsoleAPICalled:
		for _, argument := range e.Args {
			p.errors = append(p.errors, fmt.Sprintf("console.%s %s", e.Type, argument.Value))
		}
	case *runtime.EventExceptionThrown:
		p.errors = append(p.errors, e.ExceptionDetails.Error())
	case *log.EventEntryAdded:
		p.errors = append(p.errors, string(e.Entry.Source)+": "+e.Entry.Text)
	}
}

// Requests returns the URLs that were asked for by now.
func (p *Page) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.requests...)
}

// Errors returns what the console has got since the last call.
func (p *Page) Errors() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	errors := p.errors
	p.errors = nil
	return errors
}

// Await waits until an expression of JavaScript is true.
func (p *Page) Await(expression string) error {
	var is bool
	err := chromedp.Run(p.Context, chromedp.Poll(expression, &is, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(patience)))
	if err != nil {
		return fmt.Errorf("await %s: %w", expression, err)
	}
	return nil
}

// Evaluate returns what an expression of JavaScript is.
func Evaluate[T any](p *Page, expression string) (value T, err error) {
	err = chromedp.Run(p.Context, chromedp.Evaluate(expression, &value, func(e *runtime.EvaluateParams) *runtime.EvaluateParams {
		return e.WithAwaitPromise(true).WithAllowUnsafeEvalBlockedByCSP(false)
	}))
	if err != nil {
		err = fmt.Errorf("%s: %w", expression, err)
	}
	return value, err
}
