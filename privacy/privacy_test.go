package privacy_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"openmediator/d2m"
	"openmediator/privacy"
)

var (
	group   = d2m.GroupID{0xab, 0xcd, 0xef, 0x01, 0x23}
	groupID = hex.EncodeToString(group[:])
	address = &net.TCPAddr{IP: net.ParseIP("203.0.113.77"), Port: 4711}
)

// renderings are all ways in which a value gets out.
func renderings(t *testing.T, v *privacy.View) map[string]string {
	t.Helper()
	who := v.Connection("c0ffee00", address, group)
	var log bytes.Buffer
	logger := zerolog.New(&log)
	logger.Info().EmbedObject(who).Object("object", who).Interface("any", who).Stringer("text", who).Msg("")
	inJSON, err := json.Marshal(map[string]any{"value": who, "pointer": &who, "group": v.Group(group)})
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{"log": log.String(), "JSON": string(inJSON), "String": who.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts[verb] = fmt.Sprintf(verb+verb, who, &who) + fmt.Sprintf(verb, []privacy.Who{who, v.Group(group)})
	}
	return texts
}

func TestB42_AValueTellsWhatItsLevelAllows(t *testing.T) {
	for _, test := range []struct {
		level                      privacy.Level
		address, group, pseudonyms bool
	}{
		{privacy.Strict, false, false, false},
		{privacy.Operator, false, false, true},
		{privacy.Full, true, true, false},
	} {
		t.Run(test.level.String(), func(t *testing.T) {
			v := privacy.NewView(privacy.Policy{Level: test.level, Until: time.Now().Add(time.Hour)})
			for how, text := range renderings(t, v) {
				for what, has := range map[string]struct {
					text string
					want bool
				}{
					"the address": {"203.0.113.77", test.address}, "the group id": {groupID, test.group},
					"a part of the group id": {groupID[:8], test.group}, "the pseudonym": {v.Pseudonym(group), test.pseudonyms},
					"the connection's pseudonym": {"c0ffee00", true},
				} {
					if got := strings.Contains(text, has.text); got != has.want {
						t.Errorf("%s has %s: %v\n%s", how, what, got, text)
					}
				}
			}
		})
	}
}

// A bare group id in decimal is what %d or %v would show of its bytes.
func TestB42_NoVerbShowsBytes(t *testing.T) {
	v := privacy.NewView(privacy.Policy{})
	for how, text := range renderings(t, v) {
		if strings.Contains(text, "171 205 239") || strings.Contains(text, "0xab, 0xcd") {
			t.Errorf("%s shows the bytes of the group id: %s", how, text)
		}
	}
}

func TestB42_FullEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := privacy.NewView(privacy.Policy{Level: privacy.Full, Until: time.Now().Add(time.Hour)})
		who := v.Group(group)
		if !strings.Contains(who.String(), groupID) {
			t.Fatalf("before the end: %v", who)
		}
		time.Sleep(time.Hour)
		if who.String() != "" || v.Level() != privacy.Strict {
			t.Errorf("after the end: %v at level %v", who, v.Level())
		}
	})
}

func TestB42_AnotherPolicyHoldsForValuesThatThereAre(t *testing.T) {
	v := privacy.NewView(privacy.Policy{Level: privacy.Operator})
	who := v.Group(group)
	v.SetPolicy(privacy.Policy{})
	if who.String() != "" {
		t.Errorf("at level strict: %v", who)
	}
}

func TestB42_PseudonymsChangeWithEachStart(t *testing.T) {
	v, again := privacy.NewView(privacy.Policy{}), privacy.NewView(privacy.Policy{})
	name := v.Pseudonym(group)
	if name != v.Pseudonym(group) || name == v.Pseudonym(d2m.GroupID{1}) {
		t.Error("pseudonyms do not tell groups apart")
	}
	if name == again.Pseudonym(group) {
		t.Error("the pseudonym is the same after a restart")
	}
	if connection := privacy.NewPseudonym(); connection == privacy.NewPseudonym() {
		t.Error("two connections have the same pseudonym")
	}
}

func TestB42_FullNeedsAnEnd(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, test := range map[string]struct {
		policy privacy.Policy
		want   string
	}{
		"strict":       {privacy.Policy{}, ""},
		"operator":     {privacy.Policy{Level: privacy.Operator}, ""},
		"no end":       {privacy.Policy{Level: privacy.Full}, "privacy: full shows who the users are, and needs a time when it ends"},
		"an hour":      {privacy.Policy{Level: privacy.Full, Until: now.Add(time.Hour)}, ""},
		"over already": {privacy.Policy{Level: privacy.Full, Until: now.Add(-time.Hour)}, ""},
		"too long": {
			privacy.Policy{Level: privacy.Full, Until: now.AddDate(0, 2, 0)},
			"privacy: full until 2026-03-02T03:04:05Z is more than 31 days away",
		},
	} {
		got := ""
		if err := test.policy.Validate(now); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestB42_LevelsByName(t *testing.T) {
	for _, want := range []privacy.Level{privacy.Strict, privacy.Operator, privacy.Full} {
		if got, err := privacy.ParseLevel(want.String()); got != want || err != nil {
			t.Errorf("%q is %v, %v", want.String(), got, err)
		}
	}
	for _, name := range []string{"", "Strict", "none", "off"} {
		if got, err := privacy.ParseLevel(name); err == nil {
			t.Errorf("%q is %v", name, got)
		}
	}
}
