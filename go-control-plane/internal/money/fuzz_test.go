package money_test

import (
	"errors"
	"math/big"
	"testing"

	"hybrid/control-plane/internal/money"
)

// What parses equals the number in arbitrary precision, and its own form parses to the same amount. What does not is one of the
// errors of the contract.
func FuzzParseDecimal(f *testing.F) {
	for _, seed := range []string{"19.99", "1e5", "-0.01", "1e-2", "9e99", "00.10", "92233720368547758.08", "1e999999999999999999"} {
		f.Add(seed, uint8(2))
	}
	f.Fuzz(func(t *testing.T, text string, scale uint8) {
		places := int(scale % 5)
		minor, err := money.ParseDecimal(text, places)
		if err != nil {
			if minor != 0 || (!errors.Is(err, money.ErrNotDecimal) && !errors.Is(err, money.ErrTooPrecise) && !errors.Is(err, money.ErrOverflow)) {
				t.Fatalf("%q is %d, %v", text, minor, err)
			}
			return
		}
		if back, err := money.ParseDecimal(money.FormatDecimal(minor, places), places); err != nil || back != minor {
			t.Fatalf("%d became %q and then %d, %v", minor, money.FormatDecimal(minor, places), back, err)
		}
		want, ok := new(big.Rat).SetString(text)
		if !ok && minor == 0 {
			return // big.Rat refuses large exponents, even those of zero
		}
		if !ok {
			t.Fatalf("%q is %d to us, and no number to big.Rat", text, minor)
		}
		unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)
		if want.Mul(want, new(big.Rat).SetInt(unit)).Cmp(new(big.Rat).SetInt64(minor)) != 0 {
			t.Fatalf("%q is %d, want %v", text, minor, want)
		}
	})
}

func FuzzRate(f *testing.F) {
	f.Add(int64(1999), int64(190_000))
	f.Add(int64(-1), int64(500_000))
	f.Fuzz(func(t *testing.T, amount, ppm int64) {
		got, err := money.Rate(amount, ppm)
		want := halfAwayFromZero(new(big.Int).Mul(big.NewInt(amount), big.NewInt(ppm)))
		switch {
		case !want.IsInt64():
			if !errors.Is(err, money.ErrOverflow) {
				t.Fatalf("%d at %d ppm is %d, %v; want an overflow of %v", amount, ppm, got, err, want)
			}
		case err != nil || got != want.Int64():
			t.Fatalf("%d at %d ppm is %d, %v; want %v", amount, ppm, got, err, want)
		}
	})
}
