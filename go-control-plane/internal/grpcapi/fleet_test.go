package grpcapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	fleetv1 "hybrid/control-plane/gen/hybrid/fleet/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/fleet"
)

// The nodes come in pages of the requested size, and where none is requested, in as many bytes as a page may have.
func TestPagesOfNodes(t *testing.T) {
	s := serve(t, failing{})
	const nodes = 400
	for i := range nodes {
		session := s.registry.Connect(fmt.Sprintf("node-%03d", i), strings.Repeat("v", 200), 1)
		var rejects []fleet.Reject
		for r := range 10 {
			rejects = append(rejects, fleet.Reject{Key: catalog.Key{Kind: catalog.KindItem, Name: fmt.Sprint(r)}, Text: strings.Repeat("t", 500)})
		}
		session.Acknowledged(1, time.Now(), true, nil, rejects)
	}
	client := fleetv1.NewFleetServiceClient(s.conn)
	for size, fewest := range map[int32]int{0: 2, 150: 3, 399: 2, 400: 2, 1000: 2} {
		token, pages, next := "", 0, 0
		for pages == 0 || token != "" {
			page, err := client.ListNodes(t.Context(), &fleetv1.ListNodesRequest{PageSize: size, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			if bytes := proto.Size(page); len(page.GetNodes()) == 0 || (size > 0 && len(page.GetNodes()) > int(size)) || bytes > catalog.MaxPageBytes+10_000 {
				t.Errorf("by %d, page %d: %d nodes in %d bytes", size, pages, len(page.GetNodes()), bytes)
			}
			for _, n := range page.GetNodes() {
				if want := fmt.Sprintf("node-%03d", next); n.GetNodeId() != want {
					t.Fatalf("by %d: %s, want %s", size, n.GetNodeId(), want)
				}
				next++
			}
			token = page.GetNextPageToken()
			pages++
		}
		if next != nodes || pages < fewest {
			t.Errorf("by %d: %d nodes on %d pages", size, next, pages)
		}
	}
	for what, request := range map[string]*fleetv1.ListNodesRequest{
		"size":  {PageSize: 1_001},
		"token": {PageToken: catalog.PageToken("ledger_total", "node-001")},
	} {
		if _, err := client.ListNodes(t.Context(), request); err == nil {
			t.Errorf("a wrong %s is taken", what)
		} else if code, why := reason(err); code != codes.InvalidArgument || why != "FIELDS_INVALID" {
			t.Errorf("%s: %v", what, err)
		}
	}
}
