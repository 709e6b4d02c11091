package money

import (
	"errors"
	"strconv"
	"strings"
)

var (
	// ErrNotDecimal means that a text is not a decimal number.
	ErrNotDecimal = errors.New("not a decimal number")
	// ErrTooPrecise means that a decimal is not a whole number of minor units.
	ErrTooPrecise = errors.New("more precise than a minor unit")
)

// ParseDecimal reads a decimal number as JSON writes it ("19.99", "-3", "1.999e1") as minor units, where one major unit is
// 10^scale minor ones. It is exact: it fails with ErrTooPrecise if it would have to round, with ErrOverflow if the
// amount does not fit int64, and with ErrNotDecimal if the text is not a number.
func ParseDecimal(text string, scale int) (int64, error) {
	mantissa, exponent := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa = text[:i]
		e, err := strconv.Atoi(text[i+1:])
		switch {
		case errors.Is(err, strconv.ErrRange):
			// Only the sign of such a large exponent matters.
			e = 1 << 30
			if strings.HasPrefix(text[i+1:], "-") {
				e = -e
			}
		case err != nil:
			return 0, ErrNotDecimal
		}
		exponent = min(max(e, -(1<<30)), 1<<30)
	}
	negative := strings.HasPrefix(mantissa, "-")
	mantissa = strings.TrimPrefix(mantissa, "-")
	whole, fraction, pointed := strings.Cut(mantissa, ".")
	if !digits(whole) || (pointed && !digits(fraction)) {
		return 0, ErrNotDecimal
	}
	// The value is `significant` × 10^shift minor units.
	significant := strings.TrimLeft(whole+fraction, "0")
	trimmed := strings.TrimRight(significant, "0")
	shift := exponent + scale - len(fraction) + len(significant) - len(trimmed)
	switch {
	case trimmed == "":
		return 0, nil
	case shift < 0:
		return 0, ErrTooPrecise
	case len(trimmed)+shift > 19:
		return 0, ErrOverflow
	}
	n, err := strconv.ParseUint(trimmed+strings.Repeat("0", shift), 10, 64)
	if err != nil {
		return 0, ErrOverflow
	}
	return signed(n, negative)
}

// FormatDecimal returns minor units as a decimal with scale places: 380 with scale 2 is "3.80".
func FormatDecimal(minor int64, scale int) string {
	text := strconv.FormatUint(magnitude(minor), 10)
	if len(text) <= scale {
		text = strings.Repeat("0", scale+1-len(text)) + text
	}
	if scale > 0 {
		text = text[:len(text)-scale] + "." + text[len(text)-scale:]
	}
	if minor < 0 {
		text = "-" + text
	}
	return text
}

func digits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}
