package snapshot

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hybrid/control-plane/internal/catalog"
)

// partBytes is the size at which a part of an update is full. It is that of one HTTP/2 frame: smaller parts would cost more, and
// of larger ones a node on a slow link would hear nothing for longer.
const partBytes = 16 << 10

// Encoder makes the bytes that are sent. They are made once, and shared by all streams.
type Encoder interface {
	// Resource returns a resource as it stands in a part.
	Resource(catalog.AnyResource) []byte
	// Part returns the message of a part.
	Part(*Update, Part) []byte
}

// Entry is a resource of the catalog, or a removal. It is shared and must not be modified.
type Entry struct {
	Key catalog.Key
	// Version of the resource; 0 if it was removed.
	Version int64
	// Encoded is what the encoder made of the resource; nil if it was removed.
	Encoded []byte
}

// Progress says how far the parts of an update reach: of all that it names up to Through, everything was sent.
type Progress struct {
	// State is the one that the update leads to.
	State Held
	// Authoritative is true if the update is the whole state, false if it is a delta to what the node holds.
	Authoritative bool
	Through       catalog.Key
}

// Update is one step of the catalog as it is sent to nodes. It is shared between streams and must not be modified.
type Update struct {
	// Nonce is unique for the publisher.
	Nonce string
	// State after the update.
	State Held
	// CommittedAt is when the version of the state was committed, LackedSince when the oldest version in the update was; zero if
	// it is not known.
	CommittedAt, LackedSince time.Time
	// Authoritative is true if the update is the whole state: resources that it does not contain no longer exist.
	Authoritative bool
	// Resumes is true if the update continues parts that the node has kept.
	Resumes bool
	// Entries are all that the update names, ordered by key, those in kept parts included.
	Entries []*Entry

	encoder Encoder
	// segments are what is sent, in order. The parts of a segment have no progress before the segment's end, unless it is the
	// last one.
	segments [][]*Entry
	// through is the progress of the parts that the node has kept.
	through catalog.Key
	// shared is false for an update that is made for one stream; its messages are made anew whenever they are sent.
	shared   bool
	once     sync.Once
	parts    []Part
	messages []atomic.Pointer[[]byte]
}

// Part is a piece of an update that fits one message.
type Part struct {
	Entries []*Entry
	// Progress is nil where the earlier progress still holds, and at the end.
	Progress *Progress
	// Last is true for the last part.
	Last bool
}

// Sent is the number of resources and removals that are sent.
func (u *Update) Sent() int {
	sent := 0
	for _, s := range u.segments {
		sent += len(s)
	}
	return sent
}

// Version returns the version in which the update names a resource: 0 for a removal, false if it does not name it.
func (u *Update) Version(key catalog.Key) (int64, bool) {
	e := find(u.Entries, key)
	if e == nil {
		return 0, false
	}
	return e.Version, true
}

// Parts returns the parts. There is at least one.
func (u *Update) Parts() []Part {
	u.once.Do(func() {
		for i, segment := range u.segments {
			tail := i == len(u.segments)-1
			for len(segment) > 0 {
				part := Part{Entries: segment[:full(segment)]}
				segment = segment[len(part.Entries):]
				switch {
				case tail:
					part.Progress = &Progress{u.State, u.Authoritative, part.Entries[len(part.Entries)-1].Key}
				case len(segment) == 0:
					part.Progress = &Progress{u.State, u.Authoritative, u.through}
				}
				u.parts = append(u.parts, part)
			}
		}
		if len(u.parts) == 0 {
			u.parts = []Part{{}}
		}
		last := &u.parts[len(u.parts)-1]
		last.Last, last.Progress = true, nil
		u.messages = make([]atomic.Pointer[[]byte], len(u.parts))
	})
	return u.parts
}

// Message returns the message of the part with this index.
func (u *Update) Message(index int) []byte {
	part := u.Parts()[index]
	if !u.shared {
		return u.encoder.Part(u, part)
	}
	if m := u.messages[index].Load(); m != nil {
		return *m
	}
	m := u.encoder.Part(u, part)
	u.messages[index].Store(&m)
	return m
}

// full returns how many of the entries make a full part.
func full(entries []*Entry) int {
	size := 0
	for i, e := range entries {
		size += len(e.Encoded)
		if e.Version == 0 {
			size += len(e.Key.Name)
		}
		if size > partBytes && i > 0 {
			return i
		}
	}
	return len(entries)
}

func compareKeys(a, b catalog.Key) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

func sortEntries(entries []*Entry) {
	slices.SortFunc(entries, func(a, b *Entry) int { return compareKeys(a.Key, b.Key) })
}

// after returns the entries, which are ordered, whose key is greater.
func after(entries []*Entry, key catalog.Key) []*Entry {
	i, found := slices.BinarySearchFunc(entries, key, func(e *Entry, key catalog.Key) int { return compareKeys(e.Key, key) })
	if found {
		i++
	}
	return entries[i:]
}

// find returns the entry with this key among ordered ones; nil if there is none.
func find(entries []*Entry, key catalog.Key) *Entry {
	i, found := slices.BinarySearchFunc(entries, key, func(e *Entry, key catalog.Key) int { return compareKeys(e.Key, key) })
	if !found {
		return nil
	}
	return entries[i]
}

// merge returns the ordered entries with the changes, which are ordered too, made to them.
func merge(entries, changes []*Entry) []*Entry {
	merged := make([]*Entry, 0, len(entries)+len(changes))
	for _, c := range changes {
		rest := after(entries, c.Key)
		kept := entries[:len(entries)-len(rest)]
		if n := len(kept); n > 0 && kept[n-1].Key == c.Key {
			kept = kept[:n-1]
		}
		merged = append(merged, kept...)
		if c.Version != 0 {
			merged = append(merged, c)
		}
		entries = rest
	}
	return append(merged, entries...)
}
