package contract_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	usagev1 "hybrid/control-plane/gen/hybrid/usage/v1"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/ledger"
)

// A record that is accepted can be booked and summed up, and comes back as the entries that a reader of the ledger gets.
func FuzzParseUsageWindow(f *testing.F) {
	valid, err := proto.Marshal(window())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(valid)
	f.Add([]byte{0xff})
	f.Add(valid[:len(valid)-1])
	f.Fuzz(func(t *testing.T, value []byte) {
		w, err := contract.ParseUsageWindow(value)
		if err != nil {
			return
		}
		if err := w.Validate(); err != nil {
			t.Fatalf("%+v was read: %v", w, err)
		}
		var sums ledger.Sums
		sums.Add(w)
		if sums.Gross.Cmp(sums.Tax.Add(&sums.Tax, &sums.Net)) != 0 {
			t.Fatalf("accepted, though gross is not net and tax: %+v", w)
		}
		var sent usagev1.UsageWindow
		if err := proto.Unmarshal(value, &sent); err != nil {
			t.Fatal(err)
		}
		for i, l := range w.Lines {
			entry := contract.LedgerEntry(ledger.Entry{Start: w.Start, End: w.End, Currency: w.Currency, Jurisdiction: w.Jurisdiction, Line: l})
			sent.Lines[i].ProtoReflect().SetUnknown(nil)
			if !proto.Equal(entry.GetLine(), sent.GetLines()[i]) || !entry.GetWindowStart().AsTime().Equal(sent.GetWindowStart().AsTime()) {
				t.Fatalf("lines[%d] %v became %v", i, sent.GetLines()[i], entry)
			}
		}
	})
}

// A resource and a progress that a node sends are read without a panic, and what is read is written again alike.
func FuzzStreamMessages(f *testing.F) {
	key := &snapshotv1.ResourceKey{Type: snapshotv1.ResourceType_RESOURCE_TYPE_ITEM, Name: "mug"}
	seed, err := proto.Marshal(&snapshotv1.Progress{Version: 7, Digest: 9, Authoritative: true, Through: key})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, message []byte) {
		var progress snapshotv1.Progress
		if proto.Unmarshal(message, &progress) != nil {
			return
		}
		read := contract.ToProgress(&progress)
		if read == nil {
			return
		}
		through := contract.ResourceKey(read.Through)
		if through.GetName() != progress.GetThrough().GetName() || through.GetType() != progress.GetThrough().GetType() {
			t.Fatalf("%v became %v", progress.GetThrough(), through)
		}
	})
}
