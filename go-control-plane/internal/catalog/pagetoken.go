package catalog

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf8"
)

var errPageToken = errors.New("malformed page token")

// pageTokenForm is the prefix of every token. A future form will have another one.
const pageTokenForm = "2:"

// maxLastLength is the largest length of a name in a token, in bytes.
const maxLastLength = 254

// PageToken returns the token of the page of a list that starts after the resource with this name.
func PageToken(list, last string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(pageTokenForm + list + ":" + last))
}

// ParsePageToken returns the name after which the page of a list starts. The empty token is the first page and has the empty name;
// the token of another list is refused.
func ParsePageToken(list, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	// The decoder ignores line breaks, and a list has one token for each page.
	if strings.ContainsAny(token, "\r\n") {
		return "", errPageToken
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || !utf8.Valid(raw) || strings.IndexByte(string(raw), 0) >= 0 {
		return "", errPageToken
	}
	last, ok := strings.CutPrefix(string(raw), pageTokenForm+list+":")
	if !ok || last == "" || len(last) > maxLastLength {
		return "", errPageToken
	}
	return last, nil
}
