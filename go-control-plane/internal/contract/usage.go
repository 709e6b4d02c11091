package contract

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/protobuf/proto"

	usagev1 "hybrid/control-plane/gen/hybrid/usage/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/ledger"
	"hybrid/control-plane/internal/outbox"
)

// The topics of the contract.
const (
	QuotesTopic      = "hybrid.quotes.v1"
	UsageTopic       = "hybrid.usage.v1"
	CatalogTopic     = "hybrid.catalog.v1"
	DeadLetterSuffix = ".dead-letter"
)

// MeteringGroup is the consumer group that counts quotes.
const MeteringGroup = "metering"

const (
	source             = "hybrid/control-plane"
	catalogChangedType = "hybrid.catalog.changed.v1"
)

// CatalogChanged returns the record of a catalog write, with the trace context of ctx. The resource is nil if key was deleted.
// The id of the record follows from key and version, so it is the same if the record is published twice.
func CatalogChanged(ctx context.Context, key catalog.Key, resource catalog.AnyResource, version int64, at time.Time) (outbox.Message, error) {
	m := outbox.Message{Topic: CatalogTopic, Key: []byte(key.String())}
	if resource != nil {
		value, err := proto.Marshal(&usagev1.CatalogChanged{Resource: Resource(resource)})
		if err != nil {
			return m, err
		}
		m.Value = value
	}
	id := uuid.NewSHA1(uuid.NameSpaceURL, []byte(key.String()+"@"+strconv.FormatInt(version, 10)))
	m.Headers = []outbox.Header{
		{Name: "ce_specversion", Value: "1.0"},
		{Name: "ce_id", Value: id.String()},
		{Name: "ce_source", Value: source},
		{Name: "ce_type", Value: catalogChangedType},
		{Name: "ce_time", Value: at.UTC().Format(time.RFC3339Nano)},
		{Name: "content-type", Value: "application/protobuf"},
	}
	trace := propagation.MapCarrier{}
	otel.GetTextMapPropagator().Inject(ctx, trace)
	for _, name := range []string{"traceparent", "tracestate"} {
		if value := trace[name]; value != "" {
			m.Headers = append(m.Headers, outbox.Header{Name: name, Value: value})
		}
	}
	return m, nil
}

// ParseUsageWindow reads the value of a usage record. An error means that the record can never be booked.
func ParseUsageWindow(value []byte) (ledger.Window, error) {
	if len(value) == 0 {
		return ledger.Window{}, errors.New("the record has no value")
	}
	var m usagev1.UsageWindow
	if err := proto.Unmarshal(value, &m); err != nil {
		return ledger.Window{}, fmt.Errorf("not a UsageWindow: %w", err)
	}
	w := ledger.Window{
		Start: ToTime(m.GetWindowStart()), End: ToTime(m.GetWindowEnd()),
		Currency: m.GetCurrencyCode(), Jurisdiction: m.GetJurisdiction(), Quotes: m.GetQuotes(),
		Lines: make([]ledger.Line, len(m.GetLines())),
	}
	for i, l := range m.GetLines() {
		w.Lines[i] = ledger.Line{
			SKU: l.GetSku(), PromotionID: l.GetPromotionId(), PromotionCreatedVersion: l.GetPromotionCreatedVersion(), Lines: l.GetLines(), Quantity: l.GetQuantity(),
			DiscountMinor: l.GetDiscountMinor(), NetMinor: l.GetNetMinor(), TaxMinor: l.GetTaxMinor(), GrossMinor: l.GetGrossMinor(),
		}
	}
	return w, w.Validate()
}

// LedgerEntry returns the message.
func LedgerEntry(e ledger.Entry) *usagev1.LedgerEntry {
	return &usagev1.LedgerEntry{
		EntryId: e.ID, WindowStart: Timestamp(e.Start), WindowEnd: Timestamp(e.End), CurrencyCode: e.Currency, Jurisdiction: e.Jurisdiction,
		Line: &usagev1.UsageLine{
			Sku: e.Line.SKU, PromotionId: e.Line.PromotionID, PromotionCreatedVersion: e.Line.PromotionCreatedVersion, Lines: e.Line.Lines, Quantity: e.Line.Quantity,
			DiscountMinor: e.Line.DiscountMinor, NetMinor: e.Line.NetMinor, TaxMinor: e.Line.TaxMinor, GrossMinor: e.Line.GrossMinor,
		},
		BookedAt: Timestamp(e.BookedAt),
	}
}

// LedgerTotal returns the message. Where a sum does not fit int64, it is the largest int64 and the exact ones are added.
func LedgerTotal(t ledger.Total) *usagev1.LedgerTotal {
	m := &usagev1.LedgerTotal{CurrencyCode: t.Currency, Jurisdiction: t.Jurisdiction}
	fits := true
	for _, sum := range []struct {
		exact *big.Int
		field *int64
	}{{&t.Quotes, &m.Quotes}, {&t.Discount, &m.DiscountMinor}, {&t.Net, &m.NetMinor}, {&t.Tax, &m.TaxMinor}, {&t.Gross, &m.GrossMinor}} {
		if *sum.field = math.MaxInt64; sum.exact.IsInt64() {
			*sum.field = sum.exact.Int64()
		} else {
			fits = false
		}
	}
	if !fits {
		m.Exact = &usagev1.ExactSums{Quotes: t.Quotes.String(), DiscountMinor: t.Discount.String(), NetMinor: t.Net.String(),
			TaxMinor: t.Tax.String(), GrossMinor: t.Gross.String()}
	}
	return m
}
