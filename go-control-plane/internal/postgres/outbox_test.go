//go:build unix

package postgres_test

import (
	"testing"

	"hybrid/control-plane/internal/postgres"
)

// A message that has the id of a lost one, after the store went back, is not marked for it.
func TestOnlyWhatWasReadIsMarked(t *testing.T) {
	pool := open(t)
	ctx := t.Context()
	items, queue := postgres.Items(pool, pool, announce), postgres.NewOutbox(pool)
	if err := queue.MarkPublished(ctx, []int64{1}); err == nil {
		t.Error("marked what was never read")
	}
	for _, sku := range []string{"mug", "cup"} {
		i := mug(1)
		i.SKU = sku
		if _, err := items.Create(ctx, i, ""); err != nil {
			t.Fatal(err)
		}
	}
	read, err := queue.Pending(ctx, 10)
	if err != nil || len(read) != 2 {
		t.Fatal(read, err)
	}
	// The second is lost, and its id is given to another.
	execute(t, pool, `DELETE FROM outbox WHERE outbox_id = 2`, `ALTER TABLE outbox ALTER COLUMN outbox_id RESTART WITH 2`)
	pen := mug(1)
	pen.SKU = "pen"
	if _, err := items.Create(ctx, pen, ""); err != nil {
		t.Fatal(err)
	}
	if err := queue.MarkPublished(ctx, []int64{read[0].ID, read[1].ID}); err != nil {
		t.Fatal(err)
	}
	left, err := queue.Pending(ctx, 10)
	if err != nil || len(left) != 1 || left[0].ID != 2 || string(left[0].Key) != "item/pen" {
		t.Errorf("%v, %v", left, err)
	}
	if err := queue.MarkPublished(ctx, []int64{2}); err != nil {
		t.Fatal(err)
	}
	if n, err := queue.Count(ctx); err != nil || n != 0 {
		t.Errorf("%d are left, %v", n, err)
	}
}
