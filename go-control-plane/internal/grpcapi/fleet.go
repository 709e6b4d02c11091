package grpcapi

import (
	"context"

	"google.golang.org/grpc/codes"

	fleetv1 "hybrid/control-plane/gen/hybrid/fleet/v1"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/fleet"
	"hybrid/control-plane/internal/snapshot"
)

// Fleet serves hybrid.fleet.v1.FleetService.
type Fleet struct {
	fleetv1.UnimplementedFleetServiceServer
	Registry  *fleet.Registry
	Publisher *snapshot.Publisher
}

func (s *Fleet) ListNodes(context.Context, *fleetv1.ListNodesRequest) (*fleetv1.ListNodesResponse, error) {
	return &fleetv1.ListNodesResponse{
		Nodes:          each(s.Registry.Nodes(), func(n fleet.Node) *fleetv1.Node { return contract.Node(n, contract.MaxRejectsOfList) }),
		CurrentVersion: s.Publisher.Stats().Version,
	}, nil
}

func (s *Fleet) GetNode(_ context.Context, r *fleetv1.GetNodeRequest) (*fleetv1.GetNodeResponse, error) {
	node, ok := s.Registry.Node(r.GetNodeId())
	if !ok {
		return nil, Status(codes.NotFound, "NOT_FOUND", "no such node")
	}
	return &fleetv1.GetNodeResponse{Node: contract.Node(node, contract.MaxRejects)}, nil
}
