// Package money has exact arithmetic on amounts of currency: int64 minor units, rates in parts per million, no floats. A
// result outside int64 is ErrOverflow.
package money

import (
	"errors"
	"math"
	"math/bits"
)

// Million is the denominator of a rate: 1,000,000 ppm is the whole.
const Million = 1_000_000

// ErrOverflow means that an amount does not fit int64.
var ErrOverflow = errors.New("amount overflows int64")

// Money is an amount of one currency.
type Money struct {
	// Currency is an ISO 4217 alphabetic code.
	Currency string
	// Minor counts the currency's minor units: cents for EUR, yen for JPY.
	Minor int64
}

// ValidCurrency reports whether code has the form of an ISO 4217 alphabetic code: three of A-Z.
func ValidCurrency(code string) bool {
	if len(code) != 3 {
		return false
	}
	for i := range len(code) {
		if code[i] < 'A' || code[i] > 'Z' {
			return false
		}
	}
	return true
}

// Add returns a + b.
func Add(a, b int64) (int64, error) {
	sum := a + b
	if (a > 0 && b > 0 && sum < 0) || (a < 0 && b < 0 && sum >= 0) {
		return 0, ErrOverflow
	}
	return sum, nil
}

// Mul returns a × b.
func Mul(a, b int64) (int64, error) {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if hi != 0 {
		return 0, ErrOverflow
	}
	return signed(lo, (a < 0) != (b < 0))
}

// Rate returns amount × ppm / 1,000,000, rounded half away from zero to a whole minor unit.
func Rate(amount, ppm int64) (int64, error) {
	hi, lo := bits.Mul64(magnitude(amount), magnitude(ppm))
	if hi >= Million {
		return 0, ErrOverflow
	}
	quotient, remainder := bits.Div64(hi, lo, Million)
	if remainder >= Million/2 {
		if quotient == math.MaxUint64 {
			return 0, ErrOverflow
		}
		quotient++
	}
	return signed(quotient, (amount < 0) != (ppm < 0))
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

func signed(magnitude uint64, negative bool) (int64, error) {
	if negative {
		if magnitude > 1<<63 {
			return 0, ErrOverflow
		}
		return int64(-magnitude), nil
	}
	if magnitude > math.MaxInt64 {
		return 0, ErrOverflow
	}
	return int64(magnitude), nil
}
