package grpcapi

import (
	"context"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	fleetv1 "hybrid/control-plane/gen/hybrid/fleet/v1"
	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	usagev1 "hybrid/control-plane/gen/hybrid/usage/v1"
)

const (
	// maxRequestBytes is the same limit as that of HTTP bodies.
	maxRequestBytes = 1 << 20
	// callTimeout bounds a call whose caller set no deadline.
	callTimeout = 10 * time.Second
)

// Services is what a server serves.
type Services struct {
	Catalog  *Catalog
	Snapshot *Snapshot
	Fleet    *Fleet
	Ledger   *Ledger
}

// NewServer makes the server, with health and reflection. Health says NOT_SERVING until it is told otherwise.
func NewServer(services Services, log *slog.Logger) (*grpc.Server, *health.Server) {
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxRequestBytes),
		grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithFilter(traced))),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 3 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(guardUnary(log)),
		grpc.ChainStreamInterceptor(guardStream(log)),
	)
	typed := typedRegistrar{server}
	catalogv1.RegisterCatalogServiceServer(typed, services.Catalog)
	snapshotv1.RegisterSnapshotServiceServer(typed, services.Snapshot)
	fleetv1.RegisterFleetServiceServer(typed, services.Fleet)
	usagev1.RegisterLedgerServiceServer(typed, services.Ledger)
	state := health.NewServer()
	state.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
	healthv1.RegisterHealthServer(server, state)
	reflection.Register(server)
	return server, state
}

// traced says which calls are traced: all but checks of health, which come every second and say nothing.
func traced(call *stats.RPCTagInfo) bool {
	return !strings.HasPrefix(call.FullMethodName, "/grpc.health.")
}

// typedRegistrar registers services so that a message that cannot be decoded is answered with INVALID_ARGUMENT, as the
// contract has it, and not with the framework's INTERNAL.
type typedRegistrar struct {
	server *grpc.Server
}

func (r typedRegistrar) RegisterService(description *grpc.ServiceDesc, service any) {
	typed := *description
	typed.Methods = append([]grpc.MethodDesc(nil), description.Methods...)
	for i := range typed.Methods {
		handle := typed.Methods[i].Handler
		typed.Methods[i].Handler = func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			return handle(srv, ctx, func(message any) error {
				if err := decode(message); err != nil {
					return malformed(err)
				}
				return nil
			}, interceptor)
		}
	}
	r.server.RegisterService(&typed, service)
}

func malformed(err error) error {
	return Status(codes.InvalidArgument, "MESSAGE_MALFORMED", "the message cannot be decoded: "+status.Convert(err).Message())
}

func guardUnary(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (response any, err error) {
		defer recovered(ctx, log, info.FullMethod, &err)
		if _, ok := ctx.Deadline(); !ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, callTimeout)
			defer cancel()
		}
		return handle(ctx, request)
	}
}

func guardStream(log *slog.Logger) grpc.StreamServerInterceptor {
	return func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
		defer recovered(stream.Context(), log, info.FullMethod, &err)
		return handle(service, stream)
	}
}

// recovered turns a panic of a handler into an answer: a fault in one call must not end the others.
func recovered(ctx context.Context, log *slog.Logger, method string, err *error) {
	if fault := recover(); fault != nil {
		log.ErrorContext(ctx, "handler panicked", "method", method, "panic", fault, "stack", string(debug.Stack()))
		*err = Status(codes.Internal, "INTERNAL", "internal error")
	}
}
