package postgres

import (
	"context"
	"time"
)

// RaiseWatermark notes that all quotes are booked whose events Kafka had so long ago. By the server's clock, which is everybody's.
func (l *Ledger) RaiseWatermark(ctx context.Context, age time.Duration) error {
	_, err := l.pool.Exec(ctx, `UPDATE ledger_watermark SET booked_until = greatest(booked_until, now() - $1 * interval '1 microsecond')`, age.Microseconds())
	return translate(err)
}

// WatermarkAge returns how old the watermark is.
func (l *Ledger) WatermarkAge(ctx context.Context) (time.Duration, error) {
	var micros int64
	err := l.pool.QueryRow(ctx, `SELECT (extract(epoch FROM now() - booked_until) * 1e6)::bigint FROM ledger_watermark`).Scan(&micros)
	return max(0, time.Duration(micros)*time.Microsecond), translate(err)
}
