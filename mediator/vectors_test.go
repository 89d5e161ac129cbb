package mediator_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// vectors are the parts of the golden vectors that a server answers.
type vectors struct {
	Paths        []pathVector  `json:"client_url_info"`
	InvalidPaths []pathVector  `json:"client_url_info_invalid"`
	Invalid      []frameVector `json:"invalid"`
}

type pathVector struct{ Path, Why, Note string }

type frameVector struct {
	Name  string
	Frame hexBytes
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	data, err := os.ReadFile("testdata/d2m.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Paths) == 0 || len(v.InvalidPaths) == 0 || len(v.Invalid) == 0 {
		t.Fatal("the file holds no vectors")
	}
	return v
}
