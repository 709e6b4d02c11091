package app

import (
	"context"
	"errors"
	"time"

	"hybrid/control-plane/internal/backoff"
	"hybrid/control-plane/internal/postgres"
	"hybrid/control-plane/internal/snapshot"
)

func (p *plane) migrate(ctx context.Context) error {
	retry := backoff.Retry{Work: "database migration", Log: p.log}
	for {
		err := postgres.Migrate(ctx, p.pools.Background)
		if err == nil {
			retry.Succeeded(ctx)
			p.ready.Complete(taskMigrations, "")
			return nil
		}
		p.ready.Reopen(taskMigrations, err.Error())
		if err := retry.Failed(ctx, err); err != nil {
			return err
		}
	}
}

// watchWrites tells at intervals whether the catalog can be written.
func (p *plane) watchWrites(ctx context.Context) {
	retry := backoff.Retry{Work: "check that the catalog can be written", Log: p.log}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		switch err := postgres.Writable(ctx, p.pools.Background); {
		case ctx.Err() != nil:
			return
		case err != nil:
			p.ready.Reopen(taskWrites, err.Error())
			retry.Failed(ctx, err)
			continue
		}
		retry.Succeeded(ctx)
		p.ready.Complete(taskWrites, "")
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// prune deletes at intervals what is no longer needed.
func (p *plane) prune(ctx context.Context) {
	ticker := time.NewTicker(pruneInterval)
	defer ticker.Stop()
	for {
		if err := p.retention.Prune(ctx); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "deleting what is no longer needed failed; the next attempt is in "+pruneInterval.String(), "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// migrated is a source that migrates the schema when it is found missing: a restored store may have an older one, or none.
type migrated struct {
	snapshot.Source
	plane *plane
}

func (m *migrated) Whole(ctx context.Context, maxLog int) (snapshot.Whole, error) {
	whole, err := m.Source.Whole(ctx, maxLog)
	return whole, m.migrate(ctx, err)
}

func (m *migrated) Since(ctx context.Context, held snapshot.Point) (snapshot.Step, error) {
	step, err := m.Source.Since(ctx, held)
	return step, m.migrate(ctx, err)
}

func (m *migrated) migrate(ctx context.Context, err error) error {
	if !postgres.SchemaMissing(err) {
		return err
	}
	if failed := postgres.Migrate(ctx, m.plane.pools.Background); failed != nil {
		return errors.Join(err, failed)
	}
	m.plane.log.WarnContext(ctx, "the schema was missing, and was migrated again", "reason", err.Error())
	return err
}
