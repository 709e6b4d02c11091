package catalog_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"hybrid/control-plane/internal/catalog"
)

// A token that is accepted is the one that is given out for its name, of its own list only.
func FuzzPageToken(f *testing.F) {
	for _, seed := range []string{"", "MTo", "MjppdGVtOm11Zw", catalog.PageToken("item", "mug"), catalog.PageToken("item", strings.Repeat("a", 255)), catalog.PageToken("tax_rule", "DE/books"), "Mjppd===", "Mjppd\n", "\nMjppdGVtOm0", "Mjpp\r\ndGVtOm0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		last, err := catalog.ParsePageToken("item", token)
		if err != nil {
			if last != "" {
				t.Fatalf("%q is %q, and refused", token, last)
			}
			return
		}
		if token == "" && last == "" {
			return
		}
		if !utf8.ValidString(last) || strings.ContainsRune(last, 0) {
			t.Fatalf("%q starts after %q, which Postgres cannot compare", token, last)
		}
		if back := catalog.PageToken("item", last); back != token {
			t.Fatalf("%q and %q both start after %q", token, back, last)
		}
		if other, err := catalog.ParsePageToken("tax_rule", token); err == nil {
			t.Fatalf("%q of the items is %q of the tax rules", token, other)
		}
	})
}

var (
	keyOracle          = regexp.MustCompile(`\A[A-Za-z0-9._-]{1,64}\z`)
	jurisdictionOracle = regexp.MustCompile(`\A[A-Z0-9-]{2,16}\z`)
	categoryOracle     = regexp.MustCompile(`\A[a-z0-9-]{1,32}\z`)
)

func FuzzNames(f *testing.F) {
	for _, seed := range []string{"mug", "..", "DE", "US-CA", "books", "", strings.Repeat("a", 64), strings.Repeat("A", 65), "a\n", "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for what, c := range map[string]struct{ got, want bool }{
			"key":          {catalog.ValidKey(text), keyOracle.MatchString(text) && text != "." && text != ".."},
			"jurisdiction": {catalog.ValidJurisdiction(text), jurisdictionOracle.MatchString(text)},
			"category":     {catalog.ValidCategory(text), categoryOracle.MatchString(text)},
		} {
			if c.got != c.want {
				t.Errorf("%q is a valid %s: %t", text, what, c.got)
			}
		}
	})
}
