package money_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"hybrid/control-plane/internal/money"
)

func TestGoldenVectors(t *testing.T) {
	files, err := filepath.Glob("../../../protos/testdata/money/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden vectors: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var vectors struct {
			Cases []struct {
				Amount   int64 `json:",string"`
				RatePPM  int64 `json:"ratePpm,string"`
				Result   int64 `json:",string"`
				Overflow bool
			}
		}
		if err := json.Unmarshal(content, &vectors); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(vectors.Cases) == 0 {
			t.Errorf("%s has no cases", file)
		}
		for _, v := range vectors.Cases {
			got, err := money.Rate(v.Amount, v.RatePPM)
			if v.Overflow != errors.Is(err, money.ErrOverflow) || got != v.Result {
				t.Errorf("%s: Rate(%d, %d) = %d, %v; want %d, overflow %v", file, v.Amount, v.RatePPM, got, err, v.Result, v.Overflow)
			}
		}
	}
}

// The oracle: the same in arbitrary precision.
func check(t *rapid.T, name string, got int64, err error, want *big.Int) {
	if !want.IsInt64() {
		if !errors.Is(err, money.ErrOverflow) {
			t.Fatalf("%s = %d, %v; want an overflow of %v", name, got, err, want)
		}
		return
	}
	if err != nil || got != want.Int64() {
		t.Fatalf("%s = %d, %v; want %v", name, got, err, want)
	}
}

func TestArithmeticIsExact(t *testing.T) {
	number := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1000, 1000),
		rapid.SampledFrom([]int64{math.MinInt64, math.MinInt64 + 1, math.MaxInt64, math.MaxInt64 - 1, 0, 1, -1}))
	rapid.Check(t, func(t *rapid.T) {
		a, b := number.Draw(t, "a"), number.Draw(t, "b")
		sum, err := money.Add(a, b)
		check(t, "Add", sum, err, new(big.Int).Add(big.NewInt(a), big.NewInt(b)))
		product, err := money.Mul(a, b)
		check(t, "Mul", product, err, new(big.Int).Mul(big.NewInt(a), big.NewInt(b)))
		rated, err := money.Rate(a, b)
		check(t, "Rate", rated, err, halfAwayFromZero(new(big.Int).Mul(big.NewInt(a), big.NewInt(b))))
	})
}

func halfAwayFromZero(millionths *big.Int) *big.Int {
	half := big.NewInt(money.Million / 2)
	rounded := new(big.Int).Abs(millionths)
	rounded.Add(rounded, half).Div(rounded, big.NewInt(money.Million))
	if millionths.Sign() < 0 {
		rounded.Neg(rounded)
	}
	return rounded
}

func TestArithmeticAtItsLimits(t *testing.T) {
	for name, c := range map[string]struct {
		got  func() (int64, error)
		want int64
		err  error
	}{
		"sum of the smallest":        {func() (int64, error) { return money.Add(math.MinInt64, math.MinInt64) }, 0, money.ErrOverflow},
		"sum of the largest":         {func() (int64, error) { return money.Add(math.MaxInt64, math.MaxInt64) }, 0, money.ErrOverflow},
		"largest sum":                {func() (int64, error) { return money.Add(math.MaxInt64-1, 1) }, math.MaxInt64, nil},
		"smallest sum":               {func() (int64, error) { return money.Add(math.MinInt64+1, -1) }, math.MinInt64, nil},
		"just beyond a quotient":     {func() (int64, error) { return money.Rate(1<<62, 4*money.Million) }, 0, money.ErrOverflow},
		"largest share":              {func() (int64, error) { return money.Rate(math.MaxInt64, money.Million) }, math.MaxInt64, nil},
		"smallest share":             {func() (int64, error) { return money.Rate(math.MinInt64, money.Million) }, math.MinInt64, nil},
		"half away from zero":        {func() (int64, error) { return money.Rate(-1, money.Million/2) }, -1, nil},
		"less than half towards it":  {func() (int64, error) { return money.Rate(1, money.Million/2-1) }, 0, nil},
		"smallest product":           {func() (int64, error) { return money.Mul(1<<62, -2) }, math.MinInt64, nil},
		"product just beyond int64":  {func() (int64, error) { return money.Mul(1<<62, 2) }, 0, money.ErrOverflow},
		"product just beyond uint64": {func() (int64, error) { return money.Mul(1<<62, 4) }, 0, money.ErrOverflow},
	} {
		if got, err := c.got(); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %d, %v; want %d, %v", name, got, err, c.want, c.err)
		}
	}
}

func TestCurrencies(t *testing.T) {
	for code, want := range map[string]bool{"EUR": true, "AAA": true, "ZZZ": true, "": false, "EU": false, "EURO": false,
		"@UR": false, "[UR": false, "E@R": false, "EU[": false, "eur": false, "EU\u00d6": false} {
		if money.ValidCurrency(code) != want {
			t.Errorf("%q is valid: %t", code, !want)
		}
	}
}

func TestFormatDecimal(t *testing.T) {
	for _, c := range []struct {
		minor int64
		scale int
		want  string
	}{{0, 2, "0.00"}, {0, 0, "0"}, {-1, 2, "-0.01"}, {1, 2, "0.01"}, {99, 2, "0.99"}, {100, 2, "1.00"}, {380, 2, "3.80"}, {7, 0, "7"},
		{10, 1, "1.0"}, {math.MinInt64, 2, "-92233720368547758.08"}} {
		if got := money.FormatDecimal(c.minor, c.scale); got != c.want {
			t.Errorf("%d with %d places is %q, want %q", c.minor, c.scale, got, c.want)
		}
	}
}

func TestParseDecimal(t *testing.T) {
	for text, want := range map[string]struct {
		minor int64
		err   error
	}{
		"19.99":                 {1999, nil},
		"20":                    {2000, nil},
		"0":                     {0, nil},
		"-0.00":                 {0, nil},
		"0.5":                   {50, nil},
		"-3.07":                 {-307, nil},
		"1.999e1":               {1999, nil},
		"1999E-2":               {1999, nil},
		"19.990":                {1999, nil},
		"0e999999999999999999":  {0, nil},
		"92233720368547758.07":  {math.MaxInt64, nil},
		"-92233720368547758.08": {math.MinInt64, nil},
		"92233720368547758.08":  {0, money.ErrOverflow},
		"1e400":                 {0, money.ErrOverflow},
		"1e999999999999999999":  {0, money.ErrOverflow},
		"19.999":                {0, money.ErrTooPrecise},
		"1e-3":                  {0, money.ErrTooPrecise},
		"1e-999999999999999999": {0, money.ErrTooPrecise},
		"":                      {0, money.ErrNotDecimal},
		"-":                     {0, money.ErrNotDecimal},
		"1.":                    {0, money.ErrNotDecimal},
		".5":                    {0, money.ErrNotDecimal},
		"1e":                    {0, money.ErrNotDecimal},
		"0x10":                  {0, money.ErrNotDecimal},
		"NaN":                   {0, money.ErrNotDecimal},
		`"19.99"`:               {0, money.ErrNotDecimal},
	} {
		got, err := money.ParseDecimal(text, 2)
		if got != want.minor || !errors.Is(err, want.err) {
			t.Errorf("ParseDecimal(%q) = %d, %v; want %d, %v", text, got, err, want.minor, want.err)
		}
	}
}

func TestDecimalsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		minor, scale := rapid.Int64().Draw(t, "minor"), rapid.IntRange(0, 4).Draw(t, "scale")
		text := money.FormatDecimal(minor, scale)
		if back, err := money.ParseDecimal(text, scale); err != nil || back != minor {
			t.Fatalf("%d became %q and then %d, %v", minor, text, back, err)
		}
	})
}
