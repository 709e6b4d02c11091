//go:build unix

package postgres_test

import (
	"errors"
	"testing"
	"time"

	"hybrid/control-plane/internal/postgres"
	"hybrid/control-plane/internal/postgrestest"
	"hybrid/control-plane/internal/snapshot"
)

// On another timeline of the server's log the next write begins an epoch, whoever makes it, and a reader that holds a state from
// before is told.
func TestAnotherTimelineBeginsAnEpoch(t *testing.T) {
	server, uri := postgrestest.Start(t)
	pool, err := postgres.Open(t.Context(), uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := postgres.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	items, source := postgres.Items(pool, pool, announce), postgres.NewSnapshotSource(pool, announce)
	cup := mug(1)
	cup.SKU = "cup"
	if _, err := items.Create(t.Context(), mug(1), ""); err != nil {
		t.Fatal(err)
	}
	state := func() snapshot.Whole {
		t.Helper()
		whole, err := source.Whole(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		return whole
	}
	held := state()
	point := snapshot.Point{Version: held.Version, CommittedAt: held.CommittedAt}

	// A crash is no other timeline.
	server.Kill(t)
	server.Restart(t)
	pool.Reset()
	if step, err := source.Since(t.Context(), point); err != nil || len(step.Log) != 0 {
		t.Errorf("after a crash: %+v, %v", step, err)
	}

	server.Kill(t)
	server.Recover(t)
	pool.Reset()
	before := time.Now().Add(-time.Minute).UnixMicro()
	created, err := items.Create(t.Context(), cup, "")
	if err != nil || created.Version < before || created.Version > time.Now().Add(time.Minute).UnixMicro() {
		t.Errorf("%+v, %v", created, err)
	}
	if _, err := source.Since(t.Context(), point); !errors.Is(err, snapshot.ErrLost) {
		t.Errorf("since the version before: %v", err)
	}
	whole := state()
	if whole.Version != created.Version || len(whole.Resources) != 2 || len(whole.Log) != 1 || whole.Log[0].Version != created.Version {
		t.Errorf("%+v", whole)
	}
	if step, err := source.Since(t.Context(), snapshot.Point{Version: whole.Version, CommittedAt: whole.CommittedAt}); err != nil || len(step.Log) != 0 {
		t.Errorf("since the present: %+v, %v", step, err)
	}

	// A read alone begins an epoch, too, and only one.
	server.Kill(t)
	server.Recover(t)
	pool.Reset()
	first, second := state(), state()
	if first.Version <= created.Version || second.Version != first.Version || len(first.Log) != 0 {
		t.Errorf("read %d, then %d, after %d; %d changes", first.Version, second.Version, created.Version, len(first.Log))
	}
	// A version of the future, or one that the store had, is nothing that was lost; one in between is.
	for _, version := range []int64{1, first.Version, time.Now().Add(time.Hour).UnixMicro()} {
		if err := source.Surpass(t.Context(), version); err != nil || state().Version != first.Version {
			t.Errorf("surpassing %d: %v, version %d", version, err, state().Version)
		}
	}
	lost := first.Version + 1
	if err := source.Surpass(t.Context(), lost); err != nil || state().Version <= lost {
		t.Errorf("surpassing %d: %v, version %d", lost, err, state().Version)
	}
}

// A clock that is behind what versions have come to does not lead back.
func TestAnEpochNeverLeadsBack(t *testing.T) {
	pool := open(t)
	const far = 8_000_000_000_000_000_000
	if _, err := pool.Exec(t.Context(), `UPDATE catalog_version SET timeline = 'another', version = $1`, int64(far)); err != nil {
		t.Fatal(err)
	}
	created, err := postgres.Items(pool, pool, announce).Create(t.Context(), mug(1), "")
	if err != nil || created.Version != far+2 {
		t.Errorf("%+v, %v", created, err)
	}
	whole, err := postgres.NewSnapshotSource(pool, announce).Whole(t.Context(), 100)
	if err != nil || whole.Version != far+2 || len(whole.Log) != 1 {
		t.Errorf("%+v, %v", whole, err)
	}
}

// A held state is the store's, or was lost, or is too old for the log. Only one that was lost begins an epoch.
func TestWhereAHeldStateStands(t *testing.T) {
	pool := open(t)
	items, source := postgres.Items(pool, pool, announce), postgres.NewSnapshotSource(pool, announce)
	var points []snapshot.Point
	for n := range int64(4) {
		if n > 0 {
			i := mug(1)
			i.SKU = string(rune('a' + n))
			if _, err := items.Create(t.Context(), i, ""); err != nil {
				t.Fatal(err)
			}
		}
		whole, err := source.Whole(t.Context(), 100)
		if err != nil || whole.Version != n+1 {
			t.Fatal(whole, err)
		}
		points = append(points, snapshot.Point{Version: whole.Version, CommittedAt: whole.CommittedAt})
	}
	for n, held := range points {
		if step, err := source.Since(t.Context(), held); err != nil || len(step.Log) != 3-n || len(step.Resources) != 3-n {
			t.Errorf("since %d: %d changes, %v", held.Version, len(step.Log), err)
		}
	}
	// The log has lost the change to version 2, and with it whether that is the store's.
	execute(t, pool, `DELETE FROM catalog_change WHERE version = 2`)
	if _, err := source.Since(t.Context(), points[1]); !errors.Is(err, snapshot.ErrGap) || errors.Is(err, snapshot.ErrLost) {
		t.Errorf("before the log: %v", err)
	}
	newest := points[3]
	for name, held := range map[string]snapshot.Point{
		"the newest version at another time": {Version: newest.Version, CommittedAt: newest.CommittedAt.Add(time.Microsecond)},
		"the oldest version at another time": {Version: 3, CommittedAt: points[2].CommittedAt.Add(-time.Microsecond)},
		"a version ahead":                    {Version: newest.Version + 1, CommittedAt: newest.CommittedAt},
	} {
		var before, after int64
		version := func(into *int64) {
			if err := pool.QueryRow(t.Context(), `SELECT version FROM catalog_version`).Scan(into); err != nil {
				t.Fatal(err)
			}
		}
		version(&before)
		if _, err := source.Since(t.Context(), held); !errors.Is(err, snapshot.ErrLost) {
			t.Errorf("%s: %v", name, err)
		}
		if version(&after); after <= before {
			t.Errorf("%s: version %d after %d", name, after, before)
		}
		execute(t, pool, `UPDATE catalog_version SET version = 4, epoch_version = 1, changed_at = (SELECT committed_at FROM catalog_change WHERE version = 4)`)
	}
}
