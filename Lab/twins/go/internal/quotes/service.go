// Package quotes serves pricing.v1 over gRPC: each quote is priced by the newest catalog, and reported to Kafka.
package quotes

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pricingv1 "hybrid/control-plane/gen/hybrid/pricing/v1"
	"hybrid/twins/internal/pricing"
)

const domain = "hybrid.pricing"

// Catalogs has what prices quotes now; nil if there never was a catalog.
type Catalogs interface{ Catalog() *pricing.Catalog }

// Publisher reports priced quotes.
type Publisher interface {
	Publish(quote *pricingv1.QuoteResponse, t trace) error
}

// Service is hybrid.pricing.v1.PricingService. It lacks QuoteStream.
type Service struct {
	pricingv1.UnimplementedPricingServiceServer
	catalogs Catalogs
	events   Publisher
	log      *slog.Logger
}

// NewService returns the service.
func NewService(catalogs Catalogs, events Publisher, log *slog.Logger) *Service {
	// Random numbers come from a pool, and not from a call of the system for each id.
	uuid.EnableRandPool()
	return &Service{catalogs: catalogs, events: events, log: log}
}

// Quote prices one basket.
func (s *Service) Quote(ctx context.Context, request *pricingv1.QuoteRequest) (*pricingv1.QuoteResponse, error) {
	catalog := s.catalogs.Catalog()
	if catalog == nil {
		return nil, statusOf(pricing.ErrNoCatalog)
	}
	quote, err := catalog.Price(request, time.Now())
	if err != nil {
		return nil, statusOf(err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		s.log.ErrorContext(ctx, "no random numbers", "error", err)
		return nil, status.Error(codes.Internal, "internal error")
	}
	quote.QuoteId = id.String()
	md, _ := metadata.FromIncomingContext(ctx)
	if err := s.events.Publish(quote, traceOf(md)); err != nil {
		s.log.ErrorContext(ctx, "a quote was not reported", "error", err)
	}
	return quote, nil
}

// statusOf returns an error of the contract with its details.
func statusOf(err error) error {
	var failure *pricing.Error
	if !errors.As(err, &failure) {
		return status.Error(codes.Internal, "internal error")
	}
	plain := status.New(failure.Code, failure.Error())
	detailed, err := plain.WithDetails(&errdetails.ErrorInfo{Reason: failure.Reason, Domain: domain})
	if err == nil && failure.Field != "" {
		violation := &errdetails.BadRequest_FieldViolation{Field: failure.Field, Description: failure.Error()}
		detailed, err = detailed.WithDetails(&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{violation}})
	}
	if err != nil {
		return plain.Err()
	}
	return detailed.Err()
}
