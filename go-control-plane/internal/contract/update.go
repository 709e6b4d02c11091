package contract

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/snapshot"
)

// Fields of the messages that are put together from encoded pieces.
const (
	updateOfResponse = 1
	upsertsOfUpdate  = 4
)

// UpdateEncoder makes the messages of updates. A resource is encoded once, as a field of its update: a message is the
// concatenation of its fields.
type UpdateEncoder struct{}

// Resource returns the field of an update that upserts the resource.
func (UpdateEncoder) Resource(r catalog.AnyResource) []byte {
	m := Resource(r)
	size := proto.Size(m)
	field := make([]byte, 0, protowire.SizeTag(upsertsOfUpdate)+protowire.SizeBytes(size))
	field = protowire.AppendTag(field, upsertsOfUpdate, protowire.BytesType)
	field = protowire.AppendVarint(field, uint64(size))
	return appendMessage(field, m)
}

// Part returns the encoded StreamSnapshotResponse.
func (UpdateEncoder) Part(u *snapshot.Update, part snapshot.Part) []byte {
	head := &snapshotv1.Update{
		Nonce: u.Nonce, Version: u.State.Version, Digest: u.State.Digest, Authoritative: u.Authoritative, Resumes: u.Resumes,
		CommittedAt: Timestamp(u.CommittedAt), MoreFollows: !part.Last,
	}
	if p := part.Progress; p != nil {
		head.Progress = &snapshotv1.Progress{Version: p.State.Version, Digest: p.State.Digest, Authoritative: p.Authoritative,
			Through: ResourceKey(p.Through)}
	}
	size := 0
	for _, e := range part.Entries {
		if e.Version == 0 {
			head.Removals = append(head.Removals, ResourceKey(e.Key))
		}
		size += len(e.Encoded)
	}
	size += proto.Size(head)
	message := make([]byte, 0, protowire.SizeTag(updateOfResponse)+protowire.SizeBytes(size))
	message = protowire.AppendTag(message, updateOfResponse, protowire.BytesType)
	message = protowire.AppendVarint(message, uint64(size))
	message = appendMessage(message, head)
	for _, e := range part.Entries {
		message = append(message, e.Encoded...)
	}
	return message
}

// ToProgress reads a message. It returns nil if the message names no progress.
func ToProgress(m *snapshotv1.Progress) *snapshot.Progress {
	through, ok := ToResourceKey(m.GetThrough())
	if !ok {
		return nil
	}
	state := snapshot.Held{Version: m.GetVersion(), Digest: m.GetDigest()}
	return &snapshot.Progress{State: state, Authoritative: m.GetAuthoritative(), Through: through}
}

func appendMessage(to []byte, m proto.Message) []byte {
	appended, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(to, m)
	if err != nil {
		// It fails for a string that is not UTF-8 only, and the store takes none.
		panic(err)
	}
	return appended
}
