package app

import (
	"context"
	"sync"
	"time"

	"hybrid/control-plane/internal/backoff"
	"hybrid/control-plane/internal/postgres"
)

// ledgerAge is the age of the ledger's watermark, which grows while the store cannot be asked. A nil one is never known.
type ledgerAge struct {
	mu    sync.Mutex
	age   time.Duration
	known time.Time
}

func (a *ledgerAge) set(age time.Duration, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.age, a.known = age, at
}

// now returns the age, and false before it is known.
func (a *ledgerAge) now() (time.Duration, bool) {
	if a == nil {
		return 0, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.age + time.Since(a.known), !a.known.IsZero()
}

// watchLedger reads the age at intervals, of a watermark that any control plane may have raised.
func (p *plane) watchLedger(ctx context.Context, ledger *postgres.Ledger) {
	if p.ledgerAge == nil {
		return
	}
	retry := backoff.Retry{Work: "reading the ledger's watermark", Log: p.log}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		// Before it is asked: an answer that comes late is older than it says.
		at := time.Now()
		age, err := ledger.WatermarkAge(ctx)
		if err != nil {
			if retry.Failed(ctx, err) != nil {
				return
			}
			continue
		}
		retry.Succeeded(ctx)
		p.ledgerAge.set(age, at)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
