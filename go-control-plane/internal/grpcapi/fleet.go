package grpcapi

import (
	"context"
	"log/slog"
	"math"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	fleetv1 "hybrid/control-plane/gen/hybrid/fleet/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/fleet"
	"hybrid/control-plane/internal/snapshot"
)

// Fleet serves hybrid.fleet.v1.FleetService.
type Fleet struct {
	fleetv1.UnimplementedFleetServiceServer
	Registry  *fleet.Registry
	Publisher *snapshot.Publisher
	Log       *slog.Logger
}

// nodesList is the name of the list in its page tokens.
const nodesList = "fleet_node"

func (s *Fleet) ListNodes(ctx context.Context, r *fleetv1.ListNodesRequest) (*fleetv1.ListNodesResponse, error) {
	// Callers from before there were pages get all nodes on one, if that has room for them.
	most := math.MaxInt
	if r.GetPageSize() != 0 {
		var err error
		if most, err = catalog.PageSize(int(r.GetPageSize())); err != nil {
			return nil, answer(ctx, s.Log, err)
		}
	}
	after, err := catalog.ParsePageToken(nodesList, r.GetPageToken())
	if err != nil {
		return nil, answer(ctx, s.Log, errNotOfThisList)
	}
	response := &fleetv1.ListNodesResponse{CurrentVersion: s.Publisher.Stats().Version}
	size := 0
	for n := range s.Registry.After(after) {
		node := contract.Node(n, contract.MaxRejectsOfList)
		size += proto.Size(node)
		if page := len(response.Nodes); page == most || (page > 0 && size > catalog.MaxPageBytes) {
			response.NextPageToken = catalog.PageToken(nodesList, response.Nodes[page-1].GetNodeId())
			break
		}
		response.Nodes = append(response.Nodes, node)
	}
	return response, nil
}

func (s *Fleet) GetNode(_ context.Context, r *fleetv1.GetNodeRequest) (*fleetv1.GetNodeResponse, error) {
	node, ok := s.Registry.Node(r.GetNodeId())
	if !ok {
		return nil, Status(codes.NotFound, "NOT_FOUND", "no such node")
	}
	return &fleetv1.GetNodeResponse{Node: contract.Node(node, contract.MaxRejects)}, nil
}
