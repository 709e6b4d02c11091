package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/ledger"
	"hybrid/control-plane/internal/money"
)

// Ledger stores the ledger, the offsets of its consumption, and the spent amounts of promotions.
type Ledger struct {
	pool     *pgxpool.Pool
	announce Announcer
}

// NewLedger returns a ledger that uses pool. It announces promotions that become exhausted as catalog writes.
func NewLedger(pool *pgxpool.Pool, announce Announcer) *Ledger { return &Ledger{pool, announce} }

var (
	_ ledger.Book   = (*Ledger)(nil)
	_ ledger.Reader = (*Ledger)(nil)
)

// Positions implements ledger.Book. It also marks the promotions that an interrupted Apply left unmarked.
func (l *Ledger) Positions(ctx context.Context, topic string) (map[int32]ledger.Position, error) {
	if _, err := l.exhaust(ctx); err != nil {
		return nil, err
	}
	var next map[int32]ledger.Position
	err := use(ctx, l.pool, shortWork, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		next, err = positions(ctx, c, topic, "")
		return err
	})
	return next, err
}

func positions(ctx context.Context, q queries, topic, lock string) (map[int32]ledger.Position, error) {
	rows, err := q.Query(ctx, `SELECT kafka_partition, next_offset, topic_id FROM consumer_offset WHERE topic = $1 ORDER BY kafka_partition `+lock, topic)
	if err != nil {
		return nil, err
	}
	next := map[int32]ledger.Position{}
	var partition int32
	var p ledger.Position
	_, err = pgx.ForEachRow(rows, []any{&partition, &p.Offset, &p.TopicID}, func() error { next[partition] = p; return nil })
	return next, err
}

// Apply books a batch in one transaction, which takes no lock that catalog writes wait for until its last statements. Promotions
// that are then exhausted are marked in a second one.
func (l *Ledger) Apply(ctx context.Context, b ledger.Batch) (booked ledger.Booked, err error) {
	err = inTx(ctx, l.pool, longWork, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		booked = ledger.Booked{}
		next, err := positions(ctx, tx, b.Topic, "FOR UPDATE")
		if err != nil {
			return err
		}
		for partition := range b.Next {
			if !next[partition].IsIn(b.TopicID) {
				return ledger.ErrOtherTopic
			}
		}
		for partition, from := range b.From {
			if now := next[partition].Offset; now < from {
				return fmt.Errorf("partition %d was booked up to offset %d, and now to %d: %w", partition, from, now, ledger.ErrOffsetWentBack)
			}
		}
		fresh := slices.DeleteFunc(slices.Clone(b.Records), func(r ledger.Record) bool { return r.Offset < next[r.Partition].Offset })
		if booked.Entries, err = insert(ctx, tx, fresh); err != nil {
			return err
		}
		booked.Records = len(fresh)
		if err := addTotals(ctx, tx, fresh); err != nil {
			return err
		}
		var batch pgx.Batch
		for partition, offset := range b.Next {
			batch.Queue(`INSERT INTO consumer_offset (topic, kafka_partition, next_offset, topic_id) VALUES ($1, $2, $3, $4)
				ON CONFLICT (topic, kafka_partition) DO UPDATE
				SET next_offset = greatest(consumer_offset.next_offset, excluded.next_offset),
				    topic_id = coalesce(nullif(excluded.topic_id, ''), consumer_offset.topic_id)`, b.Topic, partition, offset, b.TopicID)
		}
		spend(&batch, fresh)
		return tx.SendBatch(ctx, &batch).Close()
	})
	if err == nil {
		booked.Exhausted, err = l.exhaust(ctx)
	}
	return booked, refused(err)
}

// refused makes an error of the data an ErrRefused.
func refused(err error) error {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		switch server.Code[:2] {
		// Data exception, integrity constraint violation, program limit exceeded.
		case "22", "23", "54":
			return fmt.Errorf("%w: %w", ledger.ErrRefused, err)
		}
	}
	return err
}

func insert(ctx context.Context, tx pgx.Tx, records []ledger.Record) (entries int, err error) {
	if len(records) == 0 {
		return 0, nil
	}
	now := time.Now().UTC()
	var batch pgx.Batch
	var rows [][]any
	for _, r := range records {
		w := r.Window
		batch.Queue(`INSERT INTO usage_record (topic, kafka_partition, kafka_offset, window_start, window_end, currency_code,
			jurisdiction, quotes, booked_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			r.Topic, r.Partition, r.Offset, w.Start, w.End, w.Currency, w.Jurisdiction, w.Quotes, now)
		for _, line := range w.Lines {
			rows = append(rows, []any{r.Topic, r.Partition, r.Offset, w.Start, w.End, w.Currency, w.Jurisdiction,
				line.SKU, line.PromotionID, line.PromotionCreatedVersion, line.Lines, line.Quantity, line.DiscountMinor, line.NetMinor, line.TaxMinor, line.GrossMinor, now})
		}
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return 0, err
	}
	if len(rows) == 0 {
		return 0, nil
	}
	columns := []string{"topic", "kafka_partition", "kafka_offset", "window_start", "window_end", "currency_code", "jurisdiction",
		"sku", "promotion_id", "promotion_created_version", "lines", "quantity", "discount_minor", "net_minor", "tax_minor", "gross_minor", "booked_at"}
	n, err := tx.CopyFrom(ctx, pgx.Identifier{"ledger_entry"}, columns, pgx.CopyFromRows(rows))
	return int(n), err
}

// expense identifies the discounts of one promotion in one currency, and of one window if only that tells which promotion it was.
type expense struct {
	promotion, currency string
	created             int64
	windowEnd           time.Time
}

// spending returns the sums of discounts. A sum saturates at the largest int64, which is above every budget.
func spending(records []ledger.Record) (map[expense]int64, []expense) {
	spent := map[expense]int64{}
	for _, r := range records {
		for _, line := range r.Window.Lines {
			if line.PromotionID == "" || line.DiscountMinor == 0 {
				continue
			}
			e := expense{promotion: line.PromotionID, currency: r.Window.Currency, created: line.PromotionCreatedVersion}
			if e.created == 0 {
				e.windowEnd = r.Window.End
			}
			sum, err := money.Add(spent[e], line.DiscountMinor)
			if err != nil {
				sum = 1<<63 - 1
			}
			spent[e] = sum
		}
	}
	touched := slices.SortedFunc(maps.Keys(spent), func(a, b expense) int {
		return cmp.Or(cmp.Compare(a.promotion, b.promotion), cmp.Compare(a.currency, b.currency), cmp.Compare(a.created, b.created), a.windowEnd.Compare(b.windowEnd))
	})
	return spent, touched
}

// spend adds discounts to the spent amounts of promotions. Promotions that no longer exist, whose budget is in another currency, or
// that have the id of one that was deleted, are ignored.
func spend(batch *pgx.Batch, records []ledger.Record) {
	spent, touched := spending(records)
	for _, e := range touched {
		batch.Queue(`UPDATE promotion SET spent_minor = least(spent_minor::numeric + $3, 9223372036854775807)::bigint
			WHERE promotion_id = $1 AND budget_currency = $2 AND CASE WHEN $4::bigint <> 0 THEN created_version = $4
				ELSE created_at < $5 OR NOT EXISTS (SELECT FROM catalog_change c
					WHERE c.kind = 'promotion' AND c.name = promotion_id AND c.deleted AND c.version < created_version) END`,
			e.promotion, e.currency, spent[e], e.created, e.windowEnd)
	}
}

// exhaust marks the promotions that have spent their budget, which is a catalog write; all of them share one version.
func (l *Ledger) exhaust(ctx context.Context) (exhausted []string, err error) {
	const due = `SELECT promotion_id FROM promotion WHERE spent_minor >= budget_minor AND NOT exhausted`
	var found bool
	err = use(ctx, l.pool, shortWork, func(ctx context.Context, c *pgxpool.Conn) error {
		return c.QueryRow(ctx, `SELECT EXISTS (`+due+`)`).Scan(&found)
	})
	if err != nil || !found {
		return nil, err
	}
	promotions := promotionTable(l.pool, l.pool, l.announce)
	err = inTx(ctx, l.pool, longWork, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		version, at, err := nextVersion(ctx, tx)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, due+` ORDER BY promotion_id FOR UPDATE`)
		if err != nil {
			return err
		}
		if exhausted, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return err
		}
		if len(exhausted) == 0 {
			return errNothingDue
		}
		for _, id := range exhausted {
			current, err := promotions.find(ctx, tx, id, "")
			if err != nil {
				return err
			}
			updated := promotions.stamped(current, version, at)
			var batch pgx.Batch
			batch.Queue(`UPDATE promotion SET exhausted = true, version = $2, updated_at = $3 WHERE promotion_id = $1`, id, version, at)
			if err := record(ctx, tx, &batch, l.announce, write{updated.Key(), updated, current.Version, version, at}); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errNothingDue) {
		return nil, nil
	}
	return exhausted, err
}

// errNothingDue ends a transaction, so that it takes no version.
var errNothingDue = errors.New("no promotion is to be marked")

// Retire implements ledger.Book by renaming the topic of the records from an offset on.
func (l *Ledger) Retire(ctx context.Context, topic string, partition int32, from ledger.Position) error {
	name := topic + "@" + time.Now().UTC().Format(time.RFC3339Nano)
	return inTx(ctx, l.pool, longWork, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE usage_record SET topic = $4 WHERE topic = $1 AND kafka_partition = $2 AND kafka_offset >= $3`,
			topic, partition, from.Offset, name)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE consumer_offset SET next_offset = $3, topic_id = $4 WHERE topic = $1 AND kafka_partition = $2`,
			topic, partition, from.Offset, from.TopicID)
		return err
	})
}

// Entries implements ledger.Reader.
func (l *Ledger) Entries(ctx context.Context, after int64, limit int) (page []ledger.Entry, err error) {
	err = use(ctx, l.pool, shortWork, func(ctx context.Context, c *pgxpool.Conn) error {
		page, err = entries(ctx, c, after, limit)
		return err
	})
	return page, err
}

func entries(ctx context.Context, q queries, after int64, limit int) ([]ledger.Entry, error) {
	rows, err := q.Query(ctx, `SELECT entry_id, window_start, window_end, currency_code, jurisdiction, sku, promotion_id,
		promotion_created_version, lines, quantity, discount_minor, net_minor, tax_minor, gross_minor, booked_at
		FROM ledger_entry WHERE entry_id > $1 ORDER BY entry_id LIMIT $2`, after, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (e ledger.Entry, err error) {
		err = row.Scan(&e.ID, &e.Start, &e.End, &e.Currency, &e.Jurisdiction, &e.Line.SKU, &e.Line.PromotionID, &e.Line.PromotionCreatedVersion, &e.Line.Lines,
			&e.Line.Quantity, &e.Line.DiscountMinor, &e.Line.NetMinor, &e.Line.TaxMinor, &e.Line.GrossMinor, &e.BookedAt)
		return e, err
	})
}
