//go:build unix

package app

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	"hybrid/control-plane/internal/config"
	"hybrid/control-plane/internal/postgrestest"
)

// A thousand items over REST are one version, and one update of the nodes.
func TestManyItemsAreOneVersion(t *testing.T) {
	r := run(t, config.Config{Postgres: postgrestest.Database(t), Kafka: noKafka(t)})
	eventually(t, "the catalog is read", func() bool { return r.plane.publisher.Stats().Ready })
	n := follow(t, r, &snapshotv1.Hello{NodeId: "node-1"}, prices{})
	var items []string
	want := prices{}
	for i := range 1000 {
		sku := fmt.Sprintf("sku-%d", i)
		items = append(items, fmt.Sprintf(`{"sku":"%s","name":"Item","unitPrice":{"currencyCode":"EUR","minorUnits":"%d"}}`, sku, i))
		want[sku] = int64(i)
	}
	body := `{"items":[` + strings.Join(items, ",") + `],"requestId":"b0f3c0de-0000-4000-8000-000000000000"}`
	for range 2 {
		var created struct {
			Items []struct {
				Version int64 `json:"version,string"`
			}
		}
		if code := r.do(t, "POST", "/v1/items:batchCreate", body, &created); code != http.StatusOK || len(created.Items) != 1000 || created.Items[999].Version != 2 {
			t.Fatalf("%d: %d items", code, len(created.Items))
		}
	}
	eventually(t, "the node has all of them", n.holds(want))
	if v := r.plane.publisher.Stats().Version; v != 2 {
		t.Errorf("version %d", v)
	}
	var problem struct{ Detail string }
	if code := r.do(t, "POST", "/v1/items:batchCreate", `{"items":[`+items[0]+`]}`, &problem); code != http.StatusConflict || !strings.Contains(problem.Detail, "item/sku-0") {
		t.Errorf("%d: %s", code, problem.Detail)
	}
}
