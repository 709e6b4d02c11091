package contract

import (
	fleetv1 "hybrid/control-plane/gen/hybrid/fleet/v1"
	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/fleet"
)

// Resource returns the message.
func Resource(r catalog.AnyResource) *snapshotv1.Resource {
	switch r := r.(type) {
	case catalog.Item:
		return &snapshotv1.Resource{Resource: &snapshotv1.Resource_Item{Item: Item(r)}}
	case catalog.TaxRule:
		return &snapshotv1.Resource{Resource: &snapshotv1.Resource_TaxRule{TaxRule: TaxRule(r)}}
	case catalog.Promotion:
		return &snapshotv1.Resource{Resource: &snapshotv1.Resource_Promotion{Promotion: Promotion(r)}}
	}
	return &snapshotv1.Resource{}
}

// ToResource reads a message. It returns nil if the message has no resource.
func ToResource(m *snapshotv1.Resource) catalog.AnyResource {
	switch r := m.GetResource().(type) {
	case *snapshotv1.Resource_Item:
		return ToItem(r.Item)
	case *snapshotv1.Resource_TaxRule:
		return ToTaxRule(r.TaxRule)
	case *snapshotv1.Resource_Promotion:
		return ToPromotion(r.Promotion)
	}
	return nil
}

var types = map[catalog.Kind]snapshotv1.ResourceType{
	catalog.KindItem:      snapshotv1.ResourceType_RESOURCE_TYPE_ITEM,
	catalog.KindTaxRule:   snapshotv1.ResourceType_RESOURCE_TYPE_TAX_RULE,
	catalog.KindPromotion: snapshotv1.ResourceType_RESOURCE_TYPE_PROMOTION,
}

// ResourceKey returns the message.
func ResourceKey(k catalog.Key) *snapshotv1.ResourceKey {
	return &snapshotv1.ResourceKey{Type: types[k.Kind], Name: k.Name}
}

// ToResourceKey reads a message. It returns false if the message names no resource.
func ToResourceKey(m *snapshotv1.ResourceKey) (catalog.Key, bool) {
	for kind, t := range types {
		if t == m.GetType() && m.GetName() != "" {
			return catalog.Key{Kind: kind, Name: m.GetName()}, true
		}
	}
	return catalog.Key{}, false
}

// The most rejects of a node that are in an answer about it alone, and in one about all nodes.
const (
	MaxRejects       = 1_000
	MaxRejectsOfList = 10
)

// Node returns the message, with all rejects counted and at most limit of them listed.
func Node(n fleet.Node, limit int) *fleetv1.Node {
	m := &fleetv1.Node{
		NodeId: n.ID, SoftwareVersion: n.SoftwareVersion, Connected: n.Connected,
		ConnectedAt: Timestamp(n.ConnectedAt), LastHeartbeatAt: Timestamp(n.LastHeartbeatAt),
		OfferedVersion: n.OfferedVersion, AppliedVersion: n.AppliedVersion, AppliedAt: Timestamp(n.AppliedAt),
		RejectCount: int64(len(n.Rejects)),
	}
	for _, r := range n.Rejects[:min(limit, len(n.Rejects))] {
		m.Rejects = append(m.Rejects, &snapshotv1.Reject{Key: ResourceKey(r.Key), Version: r.Version, Field: r.Field, Code: r.Code, Text: r.Text})
	}
	return m
}
