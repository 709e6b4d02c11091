// Package snapshot distributes the catalog to the data planes: a publisher holds the newest state and the changes between recent
// versions, and gives each stream what it lacks, whenever the stream asks for it.
package snapshot

import (
	"hash/fnv"
	"strconv"
	"time"

	"hybrid/control-plane/internal/catalog"
)

// Held is the state that a node reports to have.
type Held struct {
	// Version of the catalog; 0 if the node has none.
	Version int64
	Digest  uint64
}

// Point names one state of the store. Versions alone do not: a restored store gives them again.
type Point struct {
	Version     int64
	CommittedAt time.Time
}

// Change is one entry of the change log.
type Change struct {
	Version int64
	Key     catalog.Key
	// Previous is the version of the resource before the change; 0 if it did not exist.
	Previous int64
	// Deleted is true if the change removed the resource.
	Deleted     bool
	CommittedAt time.Time
}

// Whole is the whole catalog as one transaction sees it.
type Whole struct {
	Version     int64
	CommittedAt time.Time
	Resources   []catalog.AnyResource
	// Log is the newest part of the change log on the store's timeline, oldest first, and without gaps up to Version.
	Log []Change
}

// Step is the changes after a version as one transaction sees them.
type Step struct {
	// Log has every change, oldest first.
	Log []Change
	// Resources has the current content of the changed resources that still exist.
	Resources map[catalog.Key]catalog.AnyResource
}

// Digest returns the wrapping sum of the hashes of resources.
func Digest(resources []catalog.AnyResource) uint64 {
	var sum uint64
	for _, r := range resources {
		sum += hash(r.Key(), r.ResourceVersion())
	}
	return sum
}

// hash returns FNV-1a-64 of "<kind>/<name>@<version>".
func hash(key catalog.Key, version int64) uint64 {
	h := fnv.New64a()
	h.Write([]byte(key.String()))
	h.Write([]byte{'@'})
	h.Write(strconv.AppendInt(nil, version, 10))
	return h.Sum64()
}

// difference returns what a change adds to the digest. Subtracting it undoes the change.
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
