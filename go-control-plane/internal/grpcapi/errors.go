// Package grpcapi is the gRPC face of the control plane.
package grpcapi

import (
	"context"
	"errors"
	"log/slog"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/money"
	"hybrid/control-plane/internal/snapshot"
)

// Domain is the domain of this service's ErrorInfo.
const Domain = "hybrid.catalog"

// responses is the one place where errors of the domain become answers.
var responses = []struct {
	err    error
	code   codes.Code
	reason string
}{
	{catalog.ErrNotFound, codes.NotFound, "NOT_FOUND"},
	{catalog.ErrAlreadyExists, codes.AlreadyExists, "ALREADY_EXISTS"},
	{catalog.ErrVersionMismatch, codes.Aborted, "VERSION_MISMATCH"},
	{catalog.ErrRequestIDReused, codes.AlreadyExists, "REQUEST_ID_REUSED"},
	{catalog.ErrUnavailable, codes.Unavailable, "STORE_UNAVAILABLE"},
	{snapshot.ErrNotReady, codes.Unavailable, "SNAPSHOT_NOT_READY"},
	{money.ErrOverflow, codes.OutOfRange, "AMOUNT_OVERFLOW"},
	{context.DeadlineExceeded, codes.DeadlineExceeded, "DEADLINE_EXCEEDED"},
	{context.Canceled, codes.Canceled, "CANCELED"},
}

// answer turns an error of the domain into a status with its details. What has no answer of its own is a fault of ours: it is
// logged, and the caller learns no more than that.
func answer(ctx context.Context, log *slog.Logger, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	var invalid *catalog.ValidationError
	if errors.As(err, &invalid) {
		violations := make([]*errdetails.BadRequest_FieldViolation, len(invalid.Violations))
		for i, v := range invalid.Violations {
			violations[i] = &errdetails.BadRequest_FieldViolation{Field: v.Field, Description: v.Message}
		}
		return Status(codes.InvalidArgument, "FIELDS_INVALID", err.Error(), violations...)
	}
	for _, r := range responses {
		if !errors.Is(err, r.err) {
			continue
		}
		text := r.err.Error()
		var about *catalog.KeyError
		if errors.As(err, &about) {
			text = about.Error()
		}
		if r.code == codes.Unavailable {
			// An outage would fill the log; readiness and the background work tell of it.
			log.DebugContext(ctx, "cannot answer now", "error", err)
		}
		return Status(r.code, r.reason, text)
	}
	log.ErrorContext(ctx, "unexpected error", "error", err)
	return Status(codes.Internal, "INTERNAL", "internal error")
}

// Status makes an error with ErrorInfo and, where there are violations, BadRequest.
func Status(code codes.Code, reason, message string, violations ...*errdetails.BadRequest_FieldViolation) error {
	s := status.New(code, message)
	detailed, err := s.WithDetails(&errdetails.ErrorInfo{Domain: Domain, Reason: reason})
	if err == nil && len(violations) > 0 {
		detailed, err = detailed.WithDetails(&errdetails.BadRequest{FieldViolations: violations})
	}
	if err != nil {
		return s.Err()
	}
	return detailed.Err()
}
