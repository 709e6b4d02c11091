package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// RaiseWatermark notes that all quotes are booked whose events Kafka had so long ago. By the server's clock, which is everybody's.
func (l *Ledger) RaiseWatermark(ctx context.Context, age time.Duration) error {
	return use(ctx, l.pool, shortWork, func(ctx context.Context, c *pgxpool.Conn) error {
		_, err := c.Exec(ctx, `UPDATE ledger_watermark SET booked_until = greatest(booked_until, now() - $1 * interval '1 microsecond')`, age.Microseconds())
		return err
	})
}

// WatermarkAge returns how old the watermark is.
func (l *Ledger) WatermarkAge(ctx context.Context) (age time.Duration, err error) {
	err = use(ctx, l.pool, shortWork, func(ctx context.Context, c *pgxpool.Conn) error {
		var micros int64
		err := c.QueryRow(ctx, `SELECT (extract(epoch FROM now() - booked_until) * 1e6)::bigint FROM ledger_watermark`).Scan(&micros)
		age = max(0, time.Duration(micros)*time.Microsecond)
		return err
	})
	return age, err
}
