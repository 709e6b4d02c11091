package contract_test

import (
	"fmt"
	"testing"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/fleet"
)

// A node that rejects a whole catalog does not make the list of nodes as large as that.
func TestRejectsAreCountedAndTheFirstAreListed(t *testing.T) {
	var n fleet.Node
	for i := range 11 {
		n.Rejects = append(n.Rejects, fleet.Reject{Key: catalog.Key{Kind: catalog.KindItem, Name: fmt.Sprintf("sku-%02d", i)}})
	}
	for limit, want := range map[int]int{contract.MaxRejectsOfList: 10, contract.MaxRejects: 11} {
		m := contract.Node(n, limit)
		if len(m.GetRejects()) != want || m.GetRejectCount() != 11 || m.GetRejects()[9].GetKey().GetName() != "sku-09" {
			t.Errorf("%d of %d are listed, and %d counted", len(m.GetRejects()), want, m.GetRejectCount())
		}
	}
}
