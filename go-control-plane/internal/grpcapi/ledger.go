package grpcapi

import (
	"context"
	"log/slog"
	"strconv"
	"strings"

	usagev1 "hybrid/control-plane/gen/hybrid/usage/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/ledger"
	"hybrid/control-plane/internal/money"
)

// Ledger serves hybrid.usage.v1.LedgerService.
type Ledger struct {
	usagev1.UnimplementedLedgerServiceServer
	Reader ledger.Reader
	Log    *slog.Logger
}

// The lists have these names in their page tokens.
const (
	entriesList = "ledger_entry"
	totalsList  = "ledger_total"
)

var errNotOfThisList = catalog.Invalid("page_token", "is not a token of this list")

func (s *Ledger) GetTotals(ctx context.Context, r *usagev1.GetTotalsRequest) (*usagev1.GetTotalsResponse, error) {
	// Callers from before there were pages get all totals on one, if that has room for them.
	size := 0
	if r.GetPageSize() != 0 {
		var err error
		if size, err = catalog.PageSize(int(r.GetPageSize())); err != nil {
			return nil, answer(ctx, s.Log, err)
		}
	}
	after, err := parsePlace(r.GetPageToken())
	if err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	totals, more, err := s.Reader.Totals(ctx, after, size)
	if err != nil {
		return nil, answer(ctx, s.Log, err)
	}
	response := &usagev1.GetTotalsResponse{Totals: each(totals, contract.LedgerTotal)}
	if more {
		last := totals[len(totals)-1]
		response.NextPageToken = catalog.PageToken(totalsList, last.Currency+"/"+last.Jurisdiction)
	}
	return response, nil
}

// parsePlace returns the place after which the page of the totals starts.
func parsePlace(token string) (after ledger.Place, err error) {
	last, err := catalog.ParsePageToken(totalsList, token)
	if err != nil {
		return after, errNotOfThisList
	}
	if last == "" {
		return after, nil
	}
	after.Currency, after.Jurisdiction, _ = strings.Cut(last, "/")
	if !money.ValidCurrency(after.Currency) || !catalog.ValidJurisdiction(after.Jurisdiction) {
		return ledger.Place{}, errNotOfThisList
	}
	return after, nil
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
			return nil, answer(ctx, s.Log, errNotOfThisList)
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
