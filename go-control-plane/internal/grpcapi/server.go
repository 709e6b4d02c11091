package grpcapi

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/tap"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	fleetv1 "hybrid/control-plane/gen/hybrid/fleet/v1"
	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	usagev1 "hybrid/control-plane/gen/hybrid/usage/v1"
)

const (
	// maxRequestBytes is equal to the limit of HTTP bodies.
	maxRequestBytes = 1 << 20
	// maxStreams is how many calls of one connection may be open.
	maxStreams     = 256
	maxHeaderBytes = 16 << 10
	// callTimeout is the deadline of a unary call, its request's arrival included, whose caller set none or a later one.
	callTimeout = 10 * time.Second
	// handshakeTimeout is how long a new connection may take to begin to speak HTTP/2.
	handshakeTimeout = 10 * time.Second
)

// Services are the implementations of the gRPC services.
type Services struct {
	Catalog  *Catalog
	Snapshot *Snapshot
	Fleet    *Fleet
	Ledger   *Ledger
}

// NewServer returns the server, with health and reflection. Its health is NOT_SERVING until the caller changes it.
func NewServer(services Services, log *slog.Logger) (*grpc.Server, *Health) {
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxRequestBytes),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.InTapHandle(limitUnary),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.StatsHandler(queued{}),
		grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithFilter(traced))),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 3 * time.Second, MaxConnectionIdle: 5 * time.Minute}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(guardUnary(log)),
		grpc.ChainStreamInterceptor(guardStream(log)),
	)
	catalogv1.RegisterCatalogServiceServer(server, services.Catalog)
	snapshotv1.RegisterSnapshotServiceServer(server, services.Snapshot)
	fleetv1.RegisterFleetServiceServer(server, services.Fleet)
	usagev1.RegisterLedgerServiceServer(server, services.Ledger)
	state := newHealth(server)
	healthv1.RegisterHealthServer(server, &healthService{Server: state.server, draining: services.Snapshot.Draining})
	reflection.Register(server)
	return server, state
}

// limitUnary gives unary calls their deadline when they begin. The interceptors see a call only when its request is complete.
func limitUnary(ctx context.Context, call *tap.Info) (context.Context, error) {
	switch {
	case call.FullMethodName == snapshotv1.SnapshotService_StreamSnapshot_FullMethodName,
		call.FullMethodName == healthv1.Health_Watch_FullMethodName,
		strings.HasPrefix(call.FullMethodName, "/grpc.reflection."):
		return ctx, nil
	}
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	// gRPC cancels ctx when the call ends.
	context.AfterFunc(ctx, cancel)
	return limited, nil
}

// traced reports whether a call is traced and measured: all are, except health checks.
func traced(call *stats.RPCTagInfo) bool {
	return !strings.HasPrefix(call.FullMethodName, "/grpc.health.")
}

func guardUnary(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (response any, err error) {
		defer recovered(ctx, log, info.FullMethod, &err)
		return handle(ctx, request)
	}
}

func guardStream(log *slog.Logger) grpc.StreamServerInterceptor {
	return func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
		defer recovered(stream.Context(), log, info.FullMethod, &err)
		return handle(service, stream)
	}
}

// recovered turns a panic of a handler into an error of that call, so that the other calls go on.
func recovered(ctx context.Context, log *slog.Logger, method string, err *error) {
	if fault := recover(); fault != nil {
		log.ErrorContext(ctx, "handler panicked", "rpc.method", method, "exception.message", fmt.Sprint(fault), "exception.stacktrace", string(debug.Stack()))
		*err = Status(codes.Internal, "INTERNAL", "internal error")
	}
}
