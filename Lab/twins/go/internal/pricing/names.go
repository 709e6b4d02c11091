package pricing

const keyForm = "must be 1 to 64 characters of A-Z a-z 0-9 . _ -, neither . nor .."

// validKey reports whether text can be a sku, a coupon or a promotion's id.
func validKey(text string) bool {
	return text != "." && text != ".." && only(text, 1, 64, func(c byte) bool {
		return lower(c) || upper(c) || digit(c) || c == '.' || c == '_' || c == '-'
	})
}

func validCurrency(text string) bool { return only(text, 3, 3, upper) }

func validJurisdiction(text string) bool {
	return only(text, 2, 16, func(c byte) bool { return upper(c) || digit(c) || c == '-' })
}

func validCategory(text string) bool {
	return only(text, 1, 32, func(c byte) bool { return lower(c) || digit(c) || c == '-' })
}

func only(text string, shortest, longest int, allowed func(byte) bool) bool {
	if len(text) < shortest || len(text) > longest {
		return false
	}
	for i := range len(text) {
		if !allowed(text[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) bool { return c >= 'a' && c <= 'z' }
func upper(c byte) bool { return c >= 'A' && c <= 'Z' }
func digit(c byte) bool { return c >= '0' && c <= '9' }
