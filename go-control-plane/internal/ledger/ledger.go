// Package ledger is what was sold: usage that came through Kafka, booked exactly once.
package ledger

import (
	"context"
	"fmt"
	"time"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/money"
)

// MaxLines is how many lines a record may have. A larger one did not come from a metering of ours.
const MaxLines = 100_000

// Window is what was priced in one window of time, for one currency and jurisdiction, or a part of it.
type Window struct {
	// Start is inclusive, End exclusive.
	Start, End             time.Time
	Currency, Jurisdiction string
	// Quotes is how many quotes it sums up.
	Quotes int64
	Lines  []Line
}

// Line is the part of one sku under one promotion, or none. Amounts are minor units of the window's currency.
type Line struct {
	SKU, PromotionID string
	// Lines is the number of quote lines, Quantity that of pieces.
	Lines, Quantity                               int64
	DiscountMinor, NetMinor, TaxMinor, GrossMinor int64
}

// Validate says what makes the window one that cannot be booked.
func (w Window) Validate() error {
	switch {
	case w.Start.IsZero() || !w.Start.Before(w.End):
		return fmt.Errorf("window_start %v must be before window_end %v", w.Start, w.End)
	case w.Start.Year() < 1 || w.End.Year() > 9999:
		return fmt.Errorf("window_start and window_end must be within the years 1 to 9999")
	case !money.ValidCurrency(w.Currency):
		return fmt.Errorf("currency_code %q is not three upper-case letters", w.Currency)
	case !catalog.ValidJurisdiction(w.Jurisdiction):
		return fmt.Errorf("jurisdiction %q is malformed", w.Jurisdiction)
	case w.Quotes < 0:
		return fmt.Errorf("quotes is %d", w.Quotes)
	case len(w.Lines) > MaxLines:
		return fmt.Errorf("%d lines are more than %d", len(w.Lines), MaxLines)
	}
	for i, l := range w.Lines {
		if err := l.validate(); err != nil {
			return fmt.Errorf("lines[%d]: %w", i, err)
		}
	}
	return nil
}

func (l Line) validate() error {
	switch {
	case !catalog.ValidKey(l.SKU):
		return fmt.Errorf("sku %q is malformed", l.SKU)
	case l.PromotionID != "" && !catalog.ValidKey(l.PromotionID):
		return fmt.Errorf("promotion_id %q is malformed", l.PromotionID)
	case l.Lines < 0 || l.Quantity < 0:
		return fmt.Errorf("lines and quantity must not be negative")
	case l.DiscountMinor < 0 || l.NetMinor < 0 || l.TaxMinor < 0:
		return fmt.Errorf("amounts must not be negative")
	case l.PromotionID == "" && l.DiscountMinor != 0:
		return fmt.Errorf("discount_minor without promotion_id")
	}
	if gross, err := money.Add(l.NetMinor, l.TaxMinor); err != nil || gross != l.GrossMinor {
		return fmt.Errorf("gross_minor %d is not net_minor %d + tax_minor %d", l.GrossMinor, l.NetMinor, l.TaxMinor)
	}
	return nil
}

// Record is a window and where it stands in Kafka.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Window    Window
}

// Batch is what is booked in one transaction.
type Batch struct {
	Topic   string
	Records []Record
	// Next is, for each partition of the batch, the offset where consumption goes on: past records that are not booked, too.
	Next map[int32]int64
}

// Booked is what a batch came to.
type Booked struct {
	Records, Entries int
	// Exhausted names the promotions that reached their budget by it.
	Exhausted []string
}

// Book keeps the ledger.
type Book interface {
	// NextOffsets gives where consumption of the topic goes on; partitions that were never consumed are absent.
	NextOffsets(ctx context.Context, topic string) (map[int32]int64, error)
	// Apply books a batch and moves the offsets, all or nothing. A record before its partition's offset was booked earlier
	// and is passed over.
	Apply(ctx context.Context, batch Batch) (Booked, error)
	// Retire is for a log that has lost what was booked from an offset on. It keeps those records under a name of their own, so
	// that new ones can take their places, and lets consumption go on from there.
	Retire(ctx context.Context, topic string, partition int32, from int64) error
}

// Total is the sums of one currency and jurisdiction.
type Total struct {
	Currency, Jurisdiction                                string
	Quotes, DiscountMinor, NetMinor, TaxMinor, GrossMinor int64
}

// Entry is a line as booked.
type Entry struct {
	ID                     int64
	Start, End             time.Time
	Currency, Jurisdiction string
	Line                   Line
	BookedAt               time.Time
}

// Reader reads the ledger.
type Reader interface {
	// Totals sums up all that is booked, ordered by currency and jurisdiction. It fails with money.ErrOverflow when a sum does
	// not fit int64.
	Totals(ctx context.Context) ([]Total, error)
	// Entries gives at most limit entries with ids above after, oldest first.
	Entries(ctx context.Context, after int64, limit int) ([]Entry, error)
}
