package grpcapi

import (
	"context"
	"log/slog"
	"strconv"

	usagev1 "hybrid/control-plane/gen/hybrid/usage/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/ledger"
)

// Ledger serves hybrid.usage.v1.LedgerService.
type Ledger struct {
	usagev1.UnimplementedLedgerServiceServer
	Reader ledger.Reader
	Log    *slog.Logger
}

// entriesList names the list in its page tokens.
const entriesList = "ledger_entry"

func (s *Ledger) GetTotals(ctx context.Context, _ *usagev1.GetTotalsRequest) (*usagev1.GetTotalsResponse, error) {
	totals, err := s.Reader.Totals(ctx)
	if err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	return &usagev1.GetTotalsResponse{Totals: each(totals, contract.LedgerTotal)}, nil
}

func (s *Ledger) ListEntries(ctx context.Context, r *usagev1.ListEntriesRequest) (*usagev1.ListEntriesResponse, error) {
	size, err := catalog.PageSize(int(r.GetPageSize()))
	if err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	var after int64
	if r.GetPageToken() != "" {
		last, err := catalog.ParsePageToken(entriesList, r.GetPageToken())
		if err == nil {
			after, err = strconv.ParseInt(last, 10, 64)
		}
		if err != nil {
			return nil, answer(ctx, s.Log, catalog.Invalid("page_token", "is not a token of this list"))
		}
	}
	entries, err := s.Reader.Entries(ctx, after, size+1)
	if err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	response := &usagev1.ListEntriesResponse{}
	if len(entries) > size {
		entries = entries[:size]
		response.NextPageToken = catalog.PageToken(entriesList, strconv.FormatInt(entries[size-1].ID, 10))
	}
	response.Entries = each(entries, contract.LedgerEntry)
	return response, nil
}
