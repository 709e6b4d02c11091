// Package pricing calls the pricing core in the same process, through its C interface.
//
// Its C library is found by CGO_LDFLAGS: -L and -rpath of the folder that has libhybrid_pricing.
package pricing

// #cgo CFLAGS: -I${SRCDIR}/../../rust/include
// #cgo LDFLAGS: -lhybrid_pricing
// #include <stdlib.h>
// #include "hybrid_pricing.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unsafe"
)

// ErrVersion means that the library which is loaded has another interface than this package was built for.
var ErrVersion = errors.New("the pricing library has another interface: build both from the same sources")

// Error is why a call failed.
type Error struct {
	// Code is a code of gRPC.
	Code int
	// Reason is machine-readable, UPPER_SNAKE_CASE.
	Reason string
	// Field is the path of the field at fault, or empty.
	Field string
}

func (e *Error) Error() string { return strings.TrimRight(e.Reason+" "+e.Field, " ") }

func failure(code C.int32_t, told *C.HybridError) error {
	if code == C.HYBRID_OK {
		return nil
	}
	field := goString(told.field)
	if told.index >= 0 {
		field = strings.Replace(field, "[]", fmt.Sprintf("[%d]", int64(told.index)), 1)
	}
	return &Error{Code: int(code), Reason: goString(told.reason), Field: field}
}

func goString(text C.HybridText) string {
	return C.GoStringN((*C.char)(unsafe.Pointer(text.data)), C.int(text.length))
}

// Panic panics inside the library, which its caller sees as an *Error with code INTERNAL.
func Panic() error {
	var told C.HybridError
	return failure(C.hybrid_pricing_panic(&told), &told)
}

// Hang blocks the thread inside the library. No context ends it earlier.
func Hang(d time.Duration) { C.hybrid_pricing_hang(C.uint32_t(d.Milliseconds())) }

// arena is memory outside of Go's heap, for what is lent to the library: C may follow its pointers.
type arena struct{ blocks []unsafe.Pointer }

func (a *arena) allocate(size uintptr) unsafe.Pointer {
	block := C.calloc(1, C.size_t(max(size, 1)))
	a.blocks = append(a.blocks, block)
	return block
}

func (a *arena) text(s string) C.HybridText {
	data := a.allocate(uintptr(len(s)))
	copy(unsafe.Slice((*byte)(data), len(s)), s)
	return C.HybridText{data: (*C.uint8_t)(data), length: C.size_t(len(s))}
}

func (a *arena) texts(all []string) *C.HybridText {
	texts := unsafe.Slice((*C.HybridText)(a.allocate(uintptr(len(all))*unsafe.Sizeof(C.HybridText{}))), len(all))
	for i, s := range all {
		texts[i] = a.text(s)
	}
	return unsafe.SliceData(texts)
}

func (a *arena) free() {
	for _, block := range a.blocks {
		C.free(block)
	}
	a.blocks = nil
}

func instant(t time.Time) C.HybridInstant {
	return C.HybridInstant{seconds: C.int64_t(t.Unix()), nanos: C.int32_t(t.Nanosecond())}
}

// Catalog is a catalog in the making, for one goroutine at a time. It is finished or closed.
type Catalog struct{ catalog *C.HybridCatalog }

// NewCatalog returns an empty catalog.
func NewCatalog() (*Catalog, error) {
	if C.hybrid_pricing_version() != C.HYBRID_PRICING_VERSION {
		return nil, ErrVersion
	}
	return &Catalog{catalog: C.hybrid_catalog_new()}, nil
}

// PutItem adds an item. An empty tax category means "standard".
func (c *Catalog) PutItem(sku, currency string, priceMinor int64, taxCategory string) error {
	var a arena
	defer a.free()
	var told C.HybridError
	return failure(C.hybrid_catalog_put_item(c.catalog, a.text(sku), a.text(currency), C.int64_t(priceMinor), a.text(taxCategory), &told), &told)
}

// PutTaxRule adds a tax rule.
func (c *Catalog) PutTaxRule(jurisdiction, category string, ratePPM int64) error {
	var a arena
	defer a.free()
	var told C.HybridError
	return failure(C.hybrid_catalog_put_tax_rule(c.catalog, a.text(jurisdiction), a.text(category), C.int64_t(ratePPM), &told), &told)
}

// Promotion is the terms of a promotion; catalog.proto says what they mean. Zero times are not set.
type Promotion struct {
	ID                            string
	CreatedVersion                int64
	PercentOffPPM, AmountOffMinor int64
	SKUs                          []string
	Coupon                        string
	MinQuantity                   int64
	StartsAt, EndsAt              time.Time
	BudgetCurrency                string
	BudgetMinor                   int64
	Exhausted                     bool
}

// PutPromotion adds a promotion.
func (c *Catalog) PutPromotion(p Promotion) error {
	var a arena
	defer a.free()
	terms := (*C.HybridPromotion)(a.allocate(unsafe.Sizeof(C.HybridPromotion{})))
	*terms = C.HybridPromotion{
		promotion_id: a.text(p.ID), created_version: C.int64_t(p.CreatedVersion),
		percent_off_ppm: C.int64_t(p.PercentOffPPM), amount_off_minor: C.int64_t(p.AmountOffMinor),
		skus: a.texts(p.SKUs), skus_length: C.size_t(len(p.SKUs)),
		coupon: a.text(p.Coupon), min_quantity: C.int64_t(p.MinQuantity),
		starts_at: a.instant(p.StartsAt), ends_at: a.instant(p.EndsAt),
		budget_currency: a.text(p.BudgetCurrency), budget_minor: C.int64_t(p.BudgetMinor),
		exhausted: C.bool(p.Exhausted),
	}
	var told C.HybridError
	return failure(C.hybrid_catalog_put_promotion(c.catalog, terms, &told), &told)
}

func (a *arena) instant(t time.Time) *C.HybridInstant {
	if t.IsZero() {
		return nil
	}
	at := (*C.HybridInstant)(a.allocate(unsafe.Sizeof(C.HybridInstant{})))
	*at = instant(t)
	return at
}

// Finish returns the catalog as a snapshot; the catalog is closed then.
func (c *Catalog) Finish(version int64) *Snapshot {
	s := &Snapshot{snapshot: C.hybrid_catalog_finish(c.catalog, C.int64_t(version))}
	c.catalog = nil
	return s
}

// Close frees a catalog that was not finished.
func (c *Catalog) Close() {
	C.hybrid_catalog_free(c.catalog)
	c.catalog = nil
}

// Basket is what is asked, laid out once for any number of quotes by one goroutine at a time.
type Basket struct {
	arena   arena
	request *C.HybridRequest
	lines   *C.HybridPricedLine
	totals  *C.HybridTotals
	told    *C.HybridError
}

// Line is a quantity of one item.
type Line struct {
	SKU      string
	Quantity int64
}

// NewBasket lays a basket out. It is to be closed.
func NewBasket(currency, jurisdiction string, lines []Line, coupons ...string) *Basket {
	b := &Basket{}
	all := unsafe.Slice((*C.HybridLine)(b.arena.allocate(uintptr(len(lines))*unsafe.Sizeof(C.HybridLine{}))), len(lines))
	for i, l := range lines {
		all[i] = C.HybridLine{sku: b.arena.text(l.SKU), quantity: C.int64_t(l.Quantity)}
	}
	b.request = (*C.HybridRequest)(b.arena.allocate(unsafe.Sizeof(C.HybridRequest{})))
	*b.request = C.HybridRequest{
		currency_code: b.arena.text(currency), jurisdiction: b.arena.text(jurisdiction),
		lines: unsafe.SliceData(all), lines_length: C.size_t(len(all)),
		coupons: b.arena.texts(coupons), coupons_length: C.size_t(len(coupons)),
	}
	b.lines = (*C.HybridPricedLine)(b.arena.allocate(uintptr(len(lines)) * unsafe.Sizeof(C.HybridPricedLine{})))
	b.totals = (*C.HybridTotals)(b.arena.allocate(unsafe.Sizeof(C.HybridTotals{})))
	b.told = (*C.HybridError)(b.arena.allocate(unsafe.Sizeof(C.HybridError{})))
	return b
}

// Close frees the basket, and what was last answered with it.
func (b *Basket) Close() { b.arena.free() }

// Snapshot is one state of the catalog, compiled for quotes. Any number of goroutines may ask it.
type Snapshot struct{ snapshot *C.HybridSnapshot }

// Close frees the snapshot. Nobody may ask it meanwhile or afterwards.
func (s *Snapshot) Close() {
	C.hybrid_snapshot_free(s.snapshot)
	s.snapshot = nil
}

// Totals is the sums over the lines of a basket, in minor units of its currency.
type Totals struct {
	SnapshotVersion, DiscountMinor, NetMinor, TaxMinor, GrossMinor int64
}

// PricedLine is one line, priced.
type PricedLine struct {
	UnitPriceMinor, DiscountMinor, NetMinor, TaxMinor, GrossMinor, TaxRatePPM int64
	// PromotionID is the promotion that was granted, or empty.
	PromotionID             string
	PromotionCreatedVersion int64
}

// Quote prices a basket as of an instant, without allocating. Lines tells the lines.
func (s *Snapshot) Quote(b *Basket, now time.Time) (Totals, error) {
	b.request.now = instant(now)
	code := C.hybrid_quote(s.snapshot, b.request, b.lines, b.request.lines_length, b.totals, b.told)
	runtime.KeepAlive(s)
	if code != C.HYBRID_OK {
		return Totals{}, failure(code, b.told)
	}
	t := b.totals
	return Totals{int64(t.snapshot_version), int64(t.discount_minor), int64(t.net_minor), int64(t.tax_minor), int64(t.gross_minor)}, nil
}

// Lines returns the lines of the last quote of a basket. To be called while its snapshot is not closed.
func (b *Basket) Lines() []PricedLine {
	lines := make([]PricedLine, 0, int(b.request.lines_length))
	for _, l := range unsafe.Slice(b.lines, int(b.request.lines_length)) {
		lines = append(lines, PricedLine{
			int64(l.unit_price_minor), int64(l.discount_minor), int64(l.net_minor), int64(l.tax_minor), int64(l.gross_minor),
			int64(l.tax_rate_ppm), goString(l.promotion_id), int64(l.promotion_created_version),
		})
	}
	return lines
}
