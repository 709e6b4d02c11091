// Package grpcapi implements the gRPC services of the control plane.
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

// Domain is the domain of the ErrorInfo in the answers of this program.
const Domain = "hybrid.catalog"

// responses maps the errors of the domain to codes and reasons.
var responses = []struct {
	err    error
	code   codes.Code
	reason string
}{
	{catalog.ErrNotFound, codes.NotFound, "NOT_FOUND"},
	{catalog.ErrAlreadyExists, codes.AlreadyExists, "ALREADY_EXISTS"},
	{catalog.ErrVersionMismatch, codes.Aborted, "VERSION_MISMATCH"},
	{catalog.ErrRequestIDReused, codes.AlreadyExists, "REQUEST_ID_REUSED"},
	{catalog.ErrTooManyPromotions, codes.FailedPrecondition, "PROMOTIONS_TOO_MANY"},
	{catalog.ErrUnavailable, codes.Unavailable, "STORE_UNAVAILABLE"},
	{snapshot.ErrNotReady, codes.Unavailable, "SNAPSHOT_NOT_READY"},
	{money.ErrOverflow, codes.OutOfRange, "AMOUNT_OVERFLOW"},
	{context.DeadlineExceeded, codes.DeadlineExceeded, "DEADLINE_EXCEEDED"},
	{context.Canceled, codes.Canceled, "CANCELED"},
}

// answer turns an error of the domain into a status with details. An error that is not in responses is a fault of this
// program: it is logged, and the status does not contain its text.
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
			// During an outage every call fails. The background work reports the outage once.
			log.DebugContext(ctx, "unavailable", "error", err)
		}
		return Status(r.code, r.reason, text)
	}
	log.ErrorContext(ctx, "unexpected error", "error", err)
	return Status(codes.Internal, "INTERNAL", "internal error")
}

// Status returns an error with ErrorInfo and, if there are violations, BadRequest.
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
