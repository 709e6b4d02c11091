// Package snapshot keeps the newest catalog that the control plane has sent, as snapshot.v1 has it.
package snapshot

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	"hybrid/twins/internal/pricing"
)

// held is a resource that was offered.
type held struct {
	version int64
	// accepted is the newest content that was accepted, nil if there is none.
	accepted *snapshotv1.Resource
	// reject is set if the newest one was rejected.
	reject *snapshotv1.Reject
}

// state is every resource that was offered, and the catalog of those that were accepted. It is not safe for concurrent use;
// its catalog is.
type state struct {
	version int64
	digest  uint64
	held    map[string]held
	catalog *pricing.Catalog
}

func newState() *state { return &state{held: map[string]held{}, catalog: &pricing.Catalog{}} }

// rejects returns what is rejected at present.
func (s *state) rejects() []*snapshotv1.Reject {
	var list []*snapshotv1.Reject
	for _, h := range s.held {
		if h.reject != nil {
			list = append(list, h.reject)
		}
	}
	return list
}

// apply applies all parts of an update and returns what of it was rejected, or applies nothing and fails.
func (s *state) apply(parts []*snapshotv1.Update) ([]*snapshotv1.Reject, error) {
	last := parts[len(parts)-1]
	c := change{base: s.held, changed: map[string]*held{}, digest: s.digest, edit: s.catalog.Edit()}
	if slices.ContainsFunc(parts, (*snapshotv1.Update).GetAuthoritative) {
		c.authoritative, c.digest, c.edit = true, 0, (&pricing.Catalog{}).Edit()
	}
	for _, part := range parts {
		for _, key := range part.GetRemovals() {
			c.remove(key)
		}
		for _, resource := range part.GetUpserts() {
			c.upsert(resource)
		}
	}
	if c.digest != last.GetDigest() {
		return nil, fmt.Errorf("after the update to version %d the digest is %016x, not %016x", last.GetVersion(), c.digest, last.GetDigest())
	}
	if c.authoritative {
		clear(s.held)
	}
	var rejects []*snapshotv1.Reject
	for path, h := range c.changed {
		if h == nil {
			delete(s.held, path)
			continue
		}
		s.held[path] = *h
		if h.reject != nil {
			rejects = append(rejects, h.reject)
		}
	}
	s.version, s.digest, s.catalog = last.GetVersion(), c.digest, c.edit.Finish(last.GetVersion())
	return rejects, nil
}

// change is what an update changes, beside the state that it starts from.
type change struct {
	base          map[string]held
	authoritative bool
	// changed has nil for what is removed.
	changed map[string]*held
	digest  uint64
	edit    *pricing.Edit
}

// current returns what is in the state that is being made.
func (c *change) current(path string) *held {
	if h, ok := c.changed[path]; ok {
		return h
	}
	if h, ok := c.base[path]; ok && !c.authoritative {
		return &h
	}
	return nil
}

func (c *change) remove(key *snapshotv1.ResourceKey) {
	path := pathOf(key)
	before := c.current(path)
	if before == nil {
		return
	}
	c.digest -= digestOf(path, before.version)
	c.changed[path] = nil
	switch key.GetType() {
	case snapshotv1.ResourceType_RESOURCE_TYPE_ITEM:
		c.edit.RemoveItem(key.GetName())
	case snapshotv1.ResourceType_RESOURCE_TYPE_TAX_RULE:
		jurisdiction, category, _ := strings.Cut(key.GetName(), "/")
		c.edit.RemoveTaxRule(jurisdiction, category)
	case snapshotv1.ResourceType_RESOURCE_TYPE_PROMOTION:
		c.edit.RemovePromotion(key.GetName())
	}
}

func (c *change) upsert(resource *snapshotv1.Resource) {
	key, version := identify(resource)
	if key == nil {
		return
	}
	path := pathOf(key)
	if before := c.current(path); before != nil {
		c.digest -= digestOf(path, before.version)
	}
	c.digest += digestOf(path, version)
	now := &held{version: version, accepted: resource}
	var invalid *pricing.Invalid
	if errors.As(c.put(resource), &invalid) {
		now.accepted = c.lastAccepted(path)
		now.reject = &snapshotv1.Reject{Key: key, Version: version, Field: invalid.Field, Code: invalid.Code, Text: invalid.Text}
	}
	c.changed[path] = now
}

// lastAccepted returns what a rejected resource goes on with, also when the whole state is made anew.
func (c *change) lastAccepted(path string) *snapshotv1.Resource {
	before, ok := c.changed[path]
	if !ok {
		if h, there := c.base[path]; there {
			before = &h
		}
	}
	if before == nil || before.accepted == nil || c.put(before.accepted) != nil {
		return nil
	}
	return before.accepted
}

// put adds a resource to the catalog. Those of unknown types are held, and do not price.
func (c *change) put(resource *snapshotv1.Resource) error {
	switch r := resource.GetResource().(type) {
	case *snapshotv1.Resource_Item:
		return c.edit.PutItem(r.Item)
	case *snapshotv1.Resource_TaxRule:
		return c.edit.PutTaxRule(r.TaxRule)
	case *snapshotv1.Resource_Promotion:
		return c.edit.PutPromotion(r.Promotion)
	}
	return nil
}

// identify returns a resource's key and version; the key is nil if it has none.
func identify(resource *snapshotv1.Resource) (*snapshotv1.ResourceKey, int64) {
	switch r := resource.GetResource().(type) {
	case *snapshotv1.Resource_Item:
		return &snapshotv1.ResourceKey{Type: snapshotv1.ResourceType_RESOURCE_TYPE_ITEM, Name: r.Item.GetSku()}, r.Item.GetVersion()
	case *snapshotv1.Resource_TaxRule:
		category := r.TaxRule.GetCategory()
		if category == "" {
			category = "standard"
		}
		name := r.TaxRule.GetJurisdiction() + "/" + category
		return &snapshotv1.ResourceKey{Type: snapshotv1.ResourceType_RESOURCE_TYPE_TAX_RULE, Name: name}, r.TaxRule.GetVersion()
	case *snapshotv1.Resource_Promotion:
		name := r.Promotion.GetPromotionId()
		return &snapshotv1.ResourceKey{Type: snapshotv1.ResourceType_RESOURCE_TYPE_PROMOTION, Name: name}, r.Promotion.GetVersion()
	}
	return resource.GetKey(), resource.GetVersion()
}

var typeNames = map[snapshotv1.ResourceType]string{
	snapshotv1.ResourceType_RESOURCE_TYPE_ITEM:      "item",
	snapshotv1.ResourceType_RESOURCE_TYPE_TAX_RULE:  "tax_rule",
	snapshotv1.ResourceType_RESOURCE_TYPE_PROMOTION: "promotion",
}

// pathOf returns "<type>/<name>", as in the digest.
func pathOf(key *snapshotv1.ResourceKey) string {
	kind, known := typeNames[key.GetType()]
	if !known {
		kind = fmt.Sprint(int32(key.GetType()))
	}
	return kind + "/" + key.GetName()
}

func digestOf(path string, version int64) uint64 {
	hash := fnv.New64a()
	fmt.Fprintf(hash, "%s@%d", path, version)
	return hash.Sum64()
}
