package pricing

import (
	"math"
	"math/bits"
)

// million is the denominator of a rate: parts per million.
const million = 1_000_000

// Amounts that are not negative have exact arithmetic here; ok is false where a result does not fit int64.

func add(a, b int64) (sum int64, ok bool) {
	sum = a + b
	return sum, sum >= a
}

func multiply(a, b int64) (product int64, ok bool) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return int64(lo), hi == 0 && lo <= math.MaxInt64
}

// share returns amount × ppm / 1,000,000, rounded half away from zero to a whole minor unit.
func share(amount, ppm int64) (part int64, ok bool) {
	hi, lo := bits.Mul64(uint64(amount), uint64(ppm))
	if hi >= million {
		return 0, false
	}
	quotient, remainder := bits.Div64(hi, lo, million)
	if remainder >= million/2 {
		quotient++
	}
	return int64(quotient), quotient <= math.MaxInt64
}
