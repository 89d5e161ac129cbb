package browsertest

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"openmediator/internal/browsertest/browser"
)

// visit is a test in a browser.
type visit struct {
	t *testing.T
	*browser.Page
}

func (v *visit) do(actions ...chromedp.Action) {
	v.t.Helper()
	if err := chromedp.Run(v.Context, actions...); err != nil {
		v.t.Fatal(err)
	}
}

func (v *visit) await(expression string) {
	v.t.Helper()
	if err := v.Await(expression); err != nil {
		text, _ := browser.Evaluate[string](v.Page, "document.body.innerText")
		v.t.Fatalf("%v\n%s\n%q", err, text, v.Errors())
	}
}

// is fails the test if an expression is not true now.
func (v *visit) is(expression string) {
	v.t.Helper()
	if is, err := browser.Evaluate[bool](v.Page, expression); err != nil || !is {
		text, _ := browser.Evaluate[string](v.Page, "document.body.innerText")
		v.t.Errorf("%s: %v, %v\n%s", expression, is, err, text)
	}
}

// text is an expression for the text of an element.
func text(id string) string { return "document.getElementById('" + id + "').textContent" }

// noErrors fails the test if the console has got any error.
func (v *visit) noErrors() {
	v.t.Helper()
	if errors := v.Errors(); len(errors) > 0 {
		v.t.Errorf("console: %q", errors)
	}
}

const (
	shown   = "!document.getElementById('overview').hidden && document.querySelector('#trouble').hidden"
	devices = "document.querySelectorAll('.device').length"
)

func open(t *testing.T, width, height int64) *visit {
	t.Helper()
	p, err := browser.Open(testContext(t), width, height)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return &visit{t, p}
}

func TestAdminPage(t *testing.T) {
	m := newMediator(t)
	server := m.serve()
	m.run("device", "new", "phone")
	m.run("device", "new", "laptop", "--join", "phone")
	m.run("device", "new", "tablet", "--join", "phone")
	for _, name := range []string{"phone", "laptop", "tablet"} {
		m.run("device", "devices", "--device", name) // registers
	}
	phone := m.start("device", "listen", "--device", "phone")

	link := m.link()
	page := open(t, 1280, 900)
	page.do(chromedp.Navigate(link))
	page.await(shown + " && " + devices + " == 3")
	t.Run("link", func(t *testing.T) { testLink(t, page, m, link) })
	t.Run("live", func(t *testing.T) { testLive(t, page, phone) })
	t.Run("policy", func(t *testing.T) { testPolicy(t, page) })
	t.Run("keyboard", func(t *testing.T) { testKeyboard(t, page) })
	t.Run("drop", func(t *testing.T) { testDrop(t, page, m) })
	t.Run("phone", func(t *testing.T) { testNarrow(t, m) })
	t.Run("restart", func(t *testing.T) { server = testRestart(t, page, m, server) })
	t.Run("drain", func(t *testing.T) { testDrain(t, page, server) })
}

// A link is good once. It leaves no trace in the address; the token lets in, too, and a wrong one does not.
func testLink(t *testing.T, page *visit, m *mediator, link string) {
	page.t = t
	page.is("location.hash == '' && !location.href.includes('once')")
	page.is("document.cookie == ''")
	page.noErrors()
	again := open(t, 1280, 900)
	again.do(chromedp.Navigate(link))
	again.await("!document.getElementById('entry').hidden && " + text("refused") + ".includes('used before')")
	again.do(chromedp.SendKeys("#token", "wrong"+kb.Enter, chromedp.ByQuery))
	again.await(text("refused") + ".includes('wrong')")
	token, err := os.ReadFile(filepath.Join(m.dir, "data", "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	again.is("(document.getElementById('token').value = '') == ''")
	again.do(chromedp.SendKeys("#token", string(token), chromedp.ByQuery))
	if !strings.HasSuffix(string(token), "\n") {
		again.do(chromedp.SendKeys("#token", kb.Enter, chromedp.ByQuery))
	}
	again.await(shown)
	again.is("!Object.values(sessionStorage).join().includes(" + quote(strings.TrimSpace(string(token))) + ")")
}

// quote returns a text as a literal of JavaScript.
func quote(text string) string {
	data, _ := json.Marshal(text)
	return string(data)
}

// The figures are those of the server, and change as it does.
func testLive(t *testing.T, page *visit, phone *process) {
	page.t = t
	page.await(text("state") + " == 'ready' && " + text("connections") + " == '1'")
	page.is("document.querySelectorAll('.group').length == 1 && /^[0-9a-f]{8}$/.test(document.querySelector('.group h3').textContent)")
	page.await("document.querySelectorAll('.presence.on').length == 1 && [...document.querySelectorAll('.leader')].filter(e => !e.hidden).length == 1")
	for range 20 {
		phone.says("hello")
	}
	page.await(text("waiting") + " == '20' && " + text("rate-note") + ".match(/at most (\\d+)/)[1] > 0")
	page.await("[...document.querySelectorAll('.queue')].filter(e => e.textContent.startsWith('20 waiting')).length == 2")
	page.is("document.querySelector('#spark .line').getAttribute('points').length > 5")
	page.is("document.querySelector('#certificate').textContent == 'none'")
	page.is(text("store-note") + ".includes('% of')")
	page.noErrors()
	for _, url := range page.Requests() {
		if !strings.HasPrefix(url, "http://127.0.0.1:") {
			t.Errorf("asked for %s", url)
		}
	}
}

// Nothing that gets into the page runs, or is fetched from elsewhere.
func testPolicy(t *testing.T, page *visit) {
	page.t = t
	for what, attack := range map[string]string{
		"a script":       "(() => { const s = document.createElement('script'); s.append('window.pwned = 1'); document.body.append(s); })()",
		"an attribute":   "document.body.setAttribute('onclick', 'window.pwned = 1')",
		"HTML":           "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.pwned=1\">'), window.pwned = 1",
		"eval":           "Function('window.pwned = 1')()",
		"another server": "fetch('http://127.0.0.1:1/').then(() => { window.pwned = 1; }, () => {})",
		"a frame":        "(() => { const f = document.createElement('iframe'); f.src = '/'; f.onload = () => { if (f.contentDocument) window.pwned = f.contentDocument.body.children.length; }; document.body.append(f); })()",
	} {
		does := "new Promise((done) => { window.pwned = 0; try { " + attack + "; } catch {} document.body.click(); setTimeout(() => done(Boolean(window.pwned)), 100); })"
		if ran, err := browser.Evaluate[bool](page.Page, does); err != nil || ran {
			t.Errorf("%s has run: %v, %v", what, ran, err)
		}
	}
	if refused := strings.Join(page.Errors(), "\n"); strings.Count(refused, "Content Security Policy") < 3 {
		t.Errorf("the policy has refused too little:\n%s", refused)
	}
	for _, url := range page.Requests() {
		if strings.HasPrefix(url, "http://127.0.0.1:1/") {
			t.Errorf("asked for %s", url)
		}
	}
	page.do(chromedp.Reload())
	page.await(shown + " && " + devices + " == 3")
	page.Errors()
}

// All can be done by keyboard: the dialog takes the focus, on what does nothing, and gives it back.
func testKeyboard(t *testing.T, page *visit) {
	page.t = t
	page.do(chromedp.Focus(".device button", chromedp.ByQuery), chromedp.KeyEvent(kb.Enter))
	page.await("document.getElementById('ask').open && document.activeElement.id == 'ask-no'")
	page.do(chromedp.KeyEvent(kb.Escape))
	page.await("!document.getElementById('ask').open && document.activeElement.textContent == 'Drop…'")
	page.do(chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(kb.Enter)) // opens it, and cancels
	page.await("!document.getElementById('ask').open")
	page.is("[...document.querySelectorAll('button')].every(b => (b.getAttribute('aria-label') || b.textContent).trim() || b.closest('dialog'))")
	page.is("[...document.querySelectorAll('input')].every(i => i.labels.length == 1)")
	page.is("[...document.querySelectorAll('[aria-labelledby]')].every(e => document.getElementById(e.getAttribute('aria-labelledby')))")
	page.await("new Promise(r => setTimeout(() => r(" + devices + " == 3), 100))")
	page.noErrors()
}

// Dropping wants a confirmation, and drops that device.
func testDrop(t *testing.T, page *visit, m *mediator) {
	page.t = t
	page.do(chromedp.Click("[aria-label^='Drop slot 3 ']", chromedp.ByQuery))
	page.await("document.getElementById('ask').open && " + text("ask-title") + ".startsWith('Drop slot 3 of group ') && " + text("ask-text") + ".includes('20 messages')")
	page.do(chromedp.Click("#ask-no", chromedp.ByQuery))
	page.await("!document.getElementById('ask').open")
	if n := m.devices("laptop"); n != 3 {
		t.Fatalf("%d devices after nothing was confirmed", n)
	}
	page.do(chromedp.Click("[aria-label^='Drop slot 3 ']", chromedp.ByQuery), chromedp.Click("#ask-yes", chromedp.ByQuery))
	page.await("!document.getElementById('ask').open && " + devices + " == 2")
	if n := m.devices("laptop"); n != 2 {
		t.Errorf("%d devices", n)
	}
	page.noErrors()
}

// On a phone nothing is cut off or has to be scrolled aside.
func testNarrow(t *testing.T, m *mediator) {
	link := m.link()
	page := open(t, 360, 740)
	page.do(chromedp.Navigate(link))
	page.await(shown + " && " + devices + " == 2")
	for _, scheme := range []string{"light", "dark"} {
		page.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
		page.is("document.documentElement.scrollWidth <= 360")
		page.is("[...document.querySelectorAll('button')].filter(b => b.checkVisibility()).every(b => b.getBoundingClientRect().height >= 35)")
		worst, err := browser.Evaluate[float64](page.Page, contrast)
		if err != nil || worst < 4.5 {
			t.Errorf("%s: the lowest contrast is %.2f, %v", scheme, worst, err)
		}
	}
	page.noErrors()
}

// contrast is the lowest contrast of a text that is shown to what lies below it, as WCAG 2 has it.
const contrast = `(() => {
  const light = (color) => {
    const [r, g, b] = color.match(/[\d.]+/g).slice(0, 3).map(n => n / 255).map(c => c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const back = (e) => {
    const color = getComputedStyle(e).backgroundColor;
    return color != 'rgba(0, 0, 0, 0)' || !e.parentElement ? color : back(e.parentElement);
  };
  let worst = 21;
  for (const e of document.querySelectorAll('body *')) {
    if (!e.checkVisibility() || ![...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim())) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(back(e))];
    worst = Math.min(worst, (Math.max(a, b) + .05) / (Math.min(a, b) + .05));
  }
  return worst;
})()`

// A page that is open goes on when the server has started again, and says so while it has not.
func testRestart(t *testing.T, page *visit, m *mediator, server *process) *process {
	page.t = t
	server.stop()
	page.await("!document.getElementById('trouble').hidden && " + text("trouble") + ".includes('No connection')")
	server = m.serve()
	page.await(shown + " && " + text("version") + ".match(/up for \\d+ s/) && " + devices + " == 2")
	page.Errors() // the browser notes each try
	return server
}

// Draining wants a confirmation, and ends the server.
func testDrain(t *testing.T, page *visit, server *process) {
	page.t = t
	page.do(chromedp.Click("#drain", chromedp.ByQuery), chromedp.Click("#ask-no", chromedp.ByQuery))
	page.await("!document.getElementById('ask').open")
	page.await(text("state") + " == 'ready'")
	page.do(chromedp.Click("#drain", chromedp.ByQuery), chromedp.Click("#ask-yes", chromedp.ByQuery))
	server.end()
	page.await("!document.getElementById('trouble').hidden")
}

// A name that leads here is refused by a real browser's Host, too, and so is another page.
func TestOtherNames(t *testing.T) {
	m := newMediator(t)
	m.serve()
	request, err := http.NewRequestWithContext(testContext(t), http.MethodGet, "http://"+m.page+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "evil.example"
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("answered with %d", answer.StatusCode)
	}
	if !slices.Contains(answer.Header.Values("X-Frame-Options"), "DENY") {
		t.Errorf("headers %v", answer.Header)
	}
}
