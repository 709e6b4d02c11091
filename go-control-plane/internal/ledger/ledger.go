// Package ledger has the usage of the data planes as it is booked: each record of usage exactly once.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/money"
)

// MaxLines is the largest number of lines of a record. Metering produces no larger ones.
const MaxLines = 100_000

// Window is the sum, or a part of it, of the quotes of one window of time, for one currency and jurisdiction.
type Window struct {
	// Start is inclusive, End exclusive.
	Start, End             time.Time
	Currency, Jurisdiction string
	// Quotes is the number of quotes.
	Quotes int64
	Lines  []Line
}

// Line is the part of one sku and one promotion, if any. Amounts are minor units of the window's currency.
type Line struct {
	SKU, PromotionID string
	// PromotionCreatedVersion tells the promotion from others that had its id before; 0 if that is not known.
	PromotionCreatedVersion int64
	// Lines is the number of quote lines, Quantity the number of pieces.
	Lines, Quantity                               int64
	DiscountMinor, NetMinor, TaxMinor, GrossMinor int64
}

// Validate returns an error if the window cannot be booked.
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
	case l.PromotionCreatedVersion < 0:
		return fmt.Errorf("promotion_created_version is %d", l.PromotionCreatedVersion)
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

// Record is a window and its position in Kafka.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Window    Window
}

// Position is where the consumption of a partition goes on.
type Position struct {
	// Offset is the next one to consume.
	Offset int64
	// TopicID names the topic that the offset belongs to: one that is deleted and made anew under its name has another id. It is
	// empty where the broker tells none.
	TopicID string
}

// IsIn reports whether the position belongs to the topic with this id, as far as both are known.
func (p Position) IsIn(topicID string) bool {
	return p.TopicID == "" || topicID == "" || p.TopicID == topicID
}

// ErrOtherTopic is the error of a batch that was read from a topic which was deleted and made anew since.
var ErrOtherTopic = errors.New("ledger: the records are of a topic that was deleted")

// ErrRefused is the error of a batch with a record that the store refuses for what it is, so that no other attempt books it.
var ErrRefused = errors.New("ledger: a record is refused")

// Batch is the records that are booked in one transaction.
type Batch struct {
	// Topic is the topic's name, TopicID its id; see Position.
	Topic, TopicID string
	Records        []Record
	// From is the offset of each partition of the batch that the ledger had when the batch was read, as far as the reader knows.
	// A partition that was never consumed is absent.
	From map[int32]int64
	// Next is the next offset to consume of each partition of the batch. It also passes records that are not booked.
	Next map[int32]int64
}

// Booked is the result of a batch.
type Booked struct {
	Records, Entries int
	// Exhausted has the ids of the promotions whose budget the batch has used up.
	Exhausted []string
}

// ErrOffsetWentBack means that the ledger has lost what it had booked, as by a restore of an older state: records before those
// of the batch have to be booked again.
var ErrOffsetWentBack = errors.New("the ledger's offset went back")

// Book writes the ledger.
type Book interface {
	// Positions returns the position of each partition. Partitions that were never consumed are absent.
	Positions(ctx context.Context, topic string) (map[int32]Position, error)
	// Apply books a batch and moves the positions, atomically. It skips records before the offset of their partition, which
	// were booked earlier. It fails with ErrOtherTopic where a position belongs to another topic than the batch, and with
	// ErrRefused where a record cannot be stored. It fails with ErrOffsetWentBack if an offset is before that in From. It books
	// nothing then.
	Apply(ctx context.Context, batch Batch) (Booked, error)
	// Retire is for a log that has lost its records from an offset on, after they were booked, or all of them because it is
	// another topic's. It keeps the booked records from that offset on under another topic name, so that new records can have
	// the same offsets, and moves the position there.
	Retire(ctx context.Context, topic string, partition int32, from Position) error
}

// Sums are exact: a sum of int64 need not fit int64. Amounts are minor units.
type Sums struct {
	Quotes, Discount, Net, Tax, Gross big.Int
}

// Add adds a window.
func (s *Sums) Add(w Window) {
	add(&s.Quotes, w.Quotes)
	for _, l := range w.Lines {
		add(&s.Discount, l.DiscountMinor)
		add(&s.Net, l.NetMinor)
		add(&s.Tax, l.TaxMinor)
		add(&s.Gross, l.GrossMinor)
	}
}

func add(sum *big.Int, n int64) {
	sum.Add(sum, big.NewInt(n))
}

// Place is what one total is about.
type Place struct {
	Currency, Jurisdiction string
}

// Total is the sums of one currency and jurisdiction.
type Total struct {
	Place
	Sums
}

// Entry is a booked line.
type Entry struct {
	ID                     int64
	Start, End             time.Time
	Currency, Jurisdiction string
	Line                   Line
	BookedAt               time.Time
}

// Reader reads the ledger.
type Reader interface {
	// Totals returns the first sums of all that was ever booked whose place is after this one, ordered by currency and
	// jurisdiction, and whether there are more. It returns at most limit, 0 being none, and fewer, but at least one, where these
	// are larger than catalog.MaxPageBytes: how many places there are is up to callers.
	Totals(ctx context.Context, after Place, limit int) (page []Total, more bool, err error)
	// Entries returns at most limit entries with ids above after, oldest first.
	Entries(ctx context.Context, after int64, limit int) ([]Entry, error)
}
