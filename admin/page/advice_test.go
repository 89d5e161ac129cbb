package page_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"openmediator/admin/page"
)

// Each code that the server closes with has a meaning and an advice, and the documentation has the same ones.
func TestAdvice(t *testing.T) {
	document, err := os.ReadFile(filepath.Join("..", "..", "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join("..", "..", "d2m", "closecode.go"))
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`CloseCode = (\d{4})`).FindAllStringSubmatch(string(source), -1)
	if len(codes) != len(page.Advices) {
		t.Errorf("%d codes, and %d advices", len(codes), len(page.Advices))
	}
	for i, a := range page.Advices {
		row := page.TableRow(a)
		if !strings.Contains(string(document), row) {
			t.Errorf("docs/operating.md lacks the row\n%s", row)
		}
		if codes[i][1] != strings.Fields(row)[1] {
			t.Errorf("%s is where %s should be", strings.Fields(row)[1], codes[i][1])
		}
	}
}
