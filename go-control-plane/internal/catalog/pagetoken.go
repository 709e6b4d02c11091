package catalog

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf8"
)

var errPageToken = errors.New("malformed page token")

// pageTokenForm is the prefix of every token. A future form will have another one.
const pageTokenForm = "1:"

// PageToken returns the token of the page that starts after the resource with this name.
func PageToken(last string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(pageTokenForm + last))
}

// ParsePageToken returns the name after which the page starts. The empty token is the first page and has the empty name.
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
