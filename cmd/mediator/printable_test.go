package main

import (
	"encoding/json"
	"strconv"
	"testing"
)

// hostile is a text that a peer could send: escape sequences of both generations, a bell, line breaks, a change of the
// direction of writing, an invisible character above U+FFFF, bytes that are not UTF-8, a forged escape, and honest text.
const hostile = "\x1b[2Jred\a\r\n\u009b31m\u202eevil\U000e0041\x7f\x00\xff\\x1b grüße 😀 \u2028"

func TestPrintable(t *testing.T) {
	const want = `\x1b[2Jred\a\r\n\u009b31m\u202eevil\U000e0041\x7f\x00\xff\\x1b grüße 😀 \u2028`
	if got := printable(hostile); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add(hostile)
	f.Add("")
	f.Add("plain")
	f.Fuzz(func(t *testing.T, text string) {
		mustBePrintable(t, printable(text))
		line, err := printableJSON(map[string]string{"text": text})
		if err != nil {
			t.Fatal(err)
		}
		mustBePrintable(t, line)
		var back map[string]string
		plain, _ := json.Marshal(text)
		var want string
		_ = json.Unmarshal(plain, &want) // with bytes replaced that are not UTF-8
		if err := json.Unmarshal([]byte(line), &back); err != nil || back["text"] != want {
			t.Errorf("%s: got %q, %v", line, back["text"], err)
		}
	})
}

func mustBePrintable(t testing.TB, text string) {
	t.Helper()
	for _, r := range text {
		if !strconv.IsPrint(r) {
			t.Errorf("%q has %U in it", text, r)
		}
	}
}
