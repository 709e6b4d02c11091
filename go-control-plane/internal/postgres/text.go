package postgres

import "strings"

// storable returns text as Postgres takes it: what is no UTF-8, and U+0000, becomes U+FFFD. It is for text from outside that
// only informs; names and keys are validated instead, so that two of them never become one.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
