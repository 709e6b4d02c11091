package catalog

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf8"
)

var errPageToken = errors.New("malformed page token")

// pageTokenForm leads every token, so that a later form can be told from this one.
const pageTokenForm = "1:"

// PageToken is the token of the page that begins after the resource of this name.
func PageToken(last string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(pageTokenForm + last))
}

// ParsePageToken gives the name that the page begins after: empty for the first page, which has an empty token.
func ParsePageToken(token string) (string, error) {
	if token == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || !utf8.Valid(raw) || len(raw) > 256 || strings.IndexByte(string(raw), 0) >= 0 {
		return "", errPageToken
	}
	last, ok := strings.CutPrefix(string(raw), pageTokenForm)
	if !ok || last == "" {
		return "", errPageToken
	}
	return last, nil
}
