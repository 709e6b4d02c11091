package grpcapi

import (
	"bytes"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
)

// lists returns the lists that a message has, at any depth.
func lists(d protoreflect.MessageDescriptor, path string) (found []string) {
	for i := range d.Fields().Len() {
		field := d.Fields().Get(i)
		at := path + "." + string(field.Name())
		if field.IsList() {
			found = append(found, at)
		}
		if field.Message() != nil {
			found = append(found, lists(field.Message(), at)...)
		}
	}
	return found
}

// Requests of the catalog have no other list than those that are cut.
func TestEveryListOfACallerIsCut(t *testing.T) {
	want := map[string]string{"BatchCreateItemsRequest": ".items", "CreatePromotionRequest": ".promotion.skus", "UpdatePromotionRequest": ".promotion.skus"}
	methods := catalogv1.File_hybrid_catalog_v1_catalog_proto.Services().ByName("CatalogService").Methods()
	for i := range methods.Len() {
		input := methods.Get(i).Input()
		found := lists(input, "")
		if all := strings.Join(found, " "); all != want[string(input.Name())] {
			t.Errorf("%s has the lists %q", input.Name(), all)
		}
		if _, cut := listed[input.FullName()]; cut != (len(found) > 0) {
			t.Errorf("%s has the lists %v, and is cut: %v", input.Name(), found, cut)
		}
	}
}

func allocated(work func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Elements with two bytes in a message must not have hundreds in memory.
func TestListsThatAreTooLongTakeNoMemory(t *testing.T) {
	items := bytes.Repeat([]byte{1<<3 | 2, 0}, 500_000)
	skus := bytes.Repeat([]byte{5<<3 | 2, 0}, 500_000)
	inPromotion := protowire.AppendBytes([]byte{1<<3 | 2}, skus)
	// The decoder merges a field that comes twice.
	many := bytes.Repeat(protowire.AppendBytes([]byte{1<<3 | 2}, skus[:2*MaxKept]), 400)
	length := func(m *catalogv1.Promotion) int { return len(m.GetSkus()) }
	for name, c := range map[string]struct {
		bytes   []byte
		message proto.Message
		length  func(proto.Message) int
	}{
		"items":     {items, &catalogv1.BatchCreateItemsRequest{}, func(m proto.Message) int { return len(m.(*catalogv1.BatchCreateItemsRequest).GetItems()) }},
		"create":    {inPromotion, &catalogv1.CreatePromotionRequest{}, func(m proto.Message) int { return length(m.(*catalogv1.CreatePromotionRequest).GetPromotion()) }},
		"update":    {inPromotion, &catalogv1.UpdatePromotionRequest{}, func(m proto.Message) int { return length(m.(*catalogv1.UpdatePromotionRequest).GetPromotion()) }},
		"promotion": {many, &catalogv1.UpdatePromotionRequest{}, func(m proto.Message) int { return length(m.(*catalogv1.UpdatePromotionRequest).GetPromotion()) }},
	} {
		var err error
		taken := allocated(func() { err = newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(c.bytes)}, c.message) })
		if n := c.length(c.message); err != nil || n != MaxKept {
			t.Errorf("%s: %d elements, %v", name, n, err)
		}
		if times := float64(taken) / float64(len(c.bytes)); times > 2 {
			t.Errorf("%s: %.1f times the bytes of the message are allocated", name, times)
		}
	}
}

// What is not too long is read as it is, whatever else is in it, and what is malformed is refused.
func TestOtherMessagesAreReadAsTheyAre(t *testing.T) {
	want := &catalogv1.CreatePromotionRequest{RequestId: "id", Promotion: &catalogv1.Promotion{PromotionId: "p", Skus: make([]string, MaxKept-1), MinQuantity: 3}}
	for i := range want.Promotion.Skus {
		want.Promotion.Skus[i] = "some-sku"
	}
	raw, err := proto.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 100, protowire.VarintType), 7)
	got := &catalogv1.CreatePromotionRequest{}
	if err := newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(append(bytes.Clone(raw), unknown...))}, got); err != nil || !bytes.Equal(got.ProtoReflect().GetUnknown(), unknown) {
		t.Errorf("%v, unknown %v", err, got.ProtoReflect().GetUnknown())
	}
	got.ProtoReflect().SetUnknown(nil)
	if !proto.Equal(got, want) {
		t.Errorf("%v", got)
	}
	for _, malformed := range [][]byte{raw[:len(raw)-1], append(bytes.Clone(raw), 0xff)} {
		if err := newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(malformed)}, got); err == nil {
			t.Error("a malformed message is read")
		}
	}
}
