package httpapi

import (
	"bytes"
	"encoding/json"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"hybrid/control-plane/internal/catalog"
)

// A body that is accepted is one JSON object in UTF-8, whose members are those that encoding/json finds, under known names only.
func FuzzStrictMembers(f *testing.F) {
	for _, seed := range []string{`{"name":"Mug","price":19.99}`, `{"name":"Mug","name":"Cup"}`, `{"Name":1}`, `{} {}`, `[]`, "\ufeff{}", `{"name":`, `{"n\u0061me":null}`, "{\"name\":\"\xff\"}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		found, err := members(body, "name", "price")
		if err != nil {
			return
		}
		var oracle map[string]json.RawMessage
		if err := json.Unmarshal(body, &oracle); err != nil || !utf8.Valid(body) {
			t.Fatalf("%q is accepted: %v", body, err)
		}
		if len(found) != len(oracle) {
			t.Fatalf("%q has %d members, and %d were found", body, len(oracle), len(found))
		}
		for name, value := range found {
			if (name != "name" && name != "price") || !bytes.Equal(bytes.TrimSpace(oracle[name]), bytes.TrimSpace(value)) {
				t.Fatalf("%q has the member %q: %s", body, name, value)
			}
		}
	})
}

// A price that is accepted is within the limits of the catalog, is the number that the body has, and has a tax of 19%.
func FuzzShortItem(f *testing.F) {
	for _, seed := range []string{`{"name":"Mug","price":19.99}`, `{"name":"Mug","price":1e3}`, `{"name":"","price":-1}`, `{"price":"1"}`, `{"name":"Mug","price":null}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		item, err := readShort(bytes.NewReader(body))
		if err != nil {
			return
		}
		price, tax, violations := item.read()
		if len(violations) > 0 {
			return
		}
		if item.name == nil || price < 0 || price > catalog.MaxAmountMinor || tax < 0 || tax > price {
			t.Fatalf("%q has the price %d and the tax %d", body, price, tax)
		}
		sent, ok := new(big.Rat).SetString(strings.TrimSpace(string(item.price)))
		if ok && sent.Mul(sent, big.NewRat(100, 1)).Cmp(new(big.Rat).SetInt64(price)) != 0 {
			t.Fatalf("%q has the price %d", body, price)
		}
	})
}

// A document whose lists are cut is what it was, but for what is too many in a list.
func FuzzCutLists(f *testing.F) {
	for _, seed := range []string{`{"skus":["a","b","c","d"],"n":1}`, `[[1,2,3,4],[5,[6,7,8,[9]]],{"a":[1,2,3,{}]},4]`, `"[1,2,3,4]"`, `["\\"],[",1,2,"[","\\\\",4]`, ` [ ] `, `[1,2,3]`} {
		f.Add([]byte(seed))
	}
	const most = 3
	var cut func(value any) any
	cut = func(value any) any {
		switch v := value.(type) {
		case []any:
			v = v[:min(len(v), most)]
			for i := range v {
				v[i] = cut(v[i])
			}
			return v
		case map[string]any:
			for name := range v {
				v[name] = cut(v[name])
			}
		}
		return value
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if checkJSON(body) != nil {
			return
		}
		var want, got any
		if err := json.Unmarshal(body, &want); err != nil {
			// Not every number fits.
			return
		}
		less := cutLists(bytes.Clone(body), most)
		if err := json.Unmarshal(less, &got); err != nil || !reflect.DeepEqual(got, cut(want)) {
			t.Fatalf("%q became %q: %v", body, less, err)
		}
	})
}
