// Package snapshot is how the catalog reaches the data planes: one state, the steps between its versions, and a publisher
// that hands every step to every stream without waiting for any of them.
package snapshot

import (
	"hash/fnv"
	"strconv"
	"time"

	"hybrid/control-plane/internal/catalog"
)

// Held is the state that a node says it has.
type Held struct {
	// Version of the catalog; 0 when the node holds none.
	Version int64
	Digest  uint64
}

// Change is one entry of the change log.
type Change struct {
	Version int64
	Key     catalog.Key
	// Previous is the resource's version before; 0 when there was no such resource.
	Previous int64
	// Deleted is true when the change removed the resource.
	Deleted     bool
	CommittedAt time.Time
}

// Whole is all of the catalog, as one transaction sees it.
type Whole struct {
	Version     int64
	CommittedAt time.Time
	Resources   []catalog.AnyResource
	// Log is the newest part of the change log, oldest first, and without gaps up to Version.
	Log []Change
}

// Step is what happened after some version, as one transaction sees it.
type Step struct {
	// Log is every change since, oldest first.
	Log []Change
	// Resources has those of the changed ones that still exist, as they are now.
	Resources map[catalog.Key]catalog.AnyResource
}

// Update is one step of the catalog as it goes to nodes. It is shared between streams and never changed.
type Update struct {
	// Version and Digest of the state after the update.
	Version int64
	Digest  uint64
	// CommittedAt is when Version was committed.
	CommittedAt time.Time
	// Authoritative is true when the update names the whole state.
	Authoritative bool
	Upserts       []catalog.AnyResource
	Removals      []catalog.Key
}

// Digest is the wrapping sum of the hashes of resources.
func Digest(resources []catalog.AnyResource) uint64 {
	var sum uint64
	for _, r := range resources {
		sum += hash(r.Key(), r.ResourceVersion())
	}
	return sum
}

// hash is FNV-1a-64 of "<kind>/<name>@<version>".
func hash(key catalog.Key, version int64) uint64 {
	h := fnv.New64a()
	h.Write([]byte(key.String()))
	h.Write([]byte{'@'})
	h.Write(strconv.AppendInt(nil, version, 10))
	return h.Sum64()
}

// difference is what a change adds to the digest; taken away again it leads back.
func (c Change) difference() uint64 {
	var d uint64
	if !c.Deleted {
		d += hash(c.Key, c.Version)
	}
	if c.Previous != 0 {
		d -= hash(c.Key, c.Previous)
	}
	return d
}
