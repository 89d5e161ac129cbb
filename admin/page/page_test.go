package page_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"openmediator/admin/page"
)

// The files of the page name each other, nothing elsewhere, and nothing that the policy would not run.
func TestFiles(t *testing.T) {
	handler := newPage(t, newFake()).Guarded(api, token)
	policy := ""
	text := make(map[string]string)
	for _, path := range []string{"/", "/page/page.css", "/page/page.js", "/page/show.js", "/page/format.js", "/page/icon.svg"} {
		answer := request(handler, http.MethodGet, path, "")
		if answer.Code != http.StatusOK || answer.Body.Len() == 0 {
			t.Errorf("%s: answered with %d", path, answer.Code)
		}
		policy = answer.Header().Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
			if !strings.Contains(policy, want) || strings.Contains(policy, "unsafe") {
				t.Errorf("%s: the policy is %s", path, policy)
			}
		}
		if answer.Header().Get("X-Content-Type-Options") != "nosniff" || answer.Header().Get("Set-Cookie") != "" ||
			answer.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", path, answer.Header())
		}
		text[path] = answer.Body.String()
	}
	for _, match := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(text["/"], -1) {
		if text[match[1]] == "" {
			t.Errorf("the page asks for %q", match[1])
		}
	}
	for _, match := range regexp.MustCompile(`from "\./([^"]*)"`).FindAllStringSubmatch(text["/page/page.js"]+text["/page/show.js"], -1) {
		if text["/page/"+match[1]] == "" {
			t.Errorf("a script asks for %q", match[1])
		}
	}
	for path, text := range text {
		text = strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "")
		if found := regexp.MustCompile(`(?i)https?:|//[a-z0-9]+\.|<script>|<style|\son[a-z]+=|style="|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|@import|url\(`).FindString(text); found != "" {
			t.Errorf("%s has %q", path, found)
		}
	}
	for _, path := range []string{"/page", "/page/", "/page/none.js", "/page/static/page.js", "/page/../page/none", "/page/link", "/page/index.html"} {
		if answer := request(handler, http.MethodGet, path, ""); answer.Code == http.StatusOK && strings.Contains(answer.Body.String(), "<html") {
			t.Errorf("%s: answered with %d: %s", path, answer.Code, answer.Body)
		}
	}
}

// What is not the page's goes to what lies beside it.
func TestWhatIsNext(t *testing.T) {
	p := newPage(t, newFake())
	for what, handler := range map[string]http.Handler{"guarded": p.Guarded(api, token), "trusted": p.Trusted(api, "")} {
		if answer := request(handler, http.MethodGet, "/groups", ""); answer.Body.String() != "api/groups" {
			t.Errorf("%s: %d %s", what, answer.Code, answer.Body)
		}
	}
	if answer := request(p.Guarded(api, token), http.MethodPost, "/page/link", "{}", "Authorization", "Bearer "+token); answer.Code != http.StatusNotFound {
		t.Errorf("a link over the network: %d", answer.Code)
	}
}

// A name cannot leave the data of an event, nor the JSON in it.
func TestNamesAreData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		evil := "</script><img src=x onerror=alert(1)>\n\nevent: vitals\ndata: {}\n\n"
		f.groups[0].Name = evil
		f.vitals.Version = evil
		f.vitals.Checks = []page.Check{{Name: evil, Text: evil}}
		s, _ := watch(t, newPage(t, f).Trusted(api, ""))
		var v shown
		for v.seen["groups"] == 0 || v.seen["vitals"] == 0 {
			event := s.next()
			if strings.ContainsAny(event, "<>") {
				t.Errorf("not escaped: %s", event)
			}
			v.take(t, event)
		}
		if v.Version != evil || v.Groups[0].Name != evil {
			t.Errorf("%+v", v)
		}
	})
}
