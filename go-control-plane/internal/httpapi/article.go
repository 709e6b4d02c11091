package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	moneyv1 "hybrid/control-plane/gen/hybrid/money/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/grpcapi"
	"hybrid/control-plane/internal/money"
)

// The short form of creating an item: prices in euros with a tax of 19%.
const (
	shortCurrency   = "EUR"
	shortScale      = 2
	shortTaxRatePPM = 190_000
)

// shortItem is a name, and a price as a JSON number. Either is nil if it is missing or null.
type shortItem struct {
	name  *string
	price json.RawMessage
}

type shortCreated struct {
	Status string      `json:"status"`
	Tax    json.Number `json:"tax"`
}

// createShort serves POST /items: {"name","price"} → {"status":"created","tax"}. The sku is generated.
func createShort(items catalogv1.CatalogServiceServer, log *slog.Logger) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := readShort(r.Body)
		if err != nil {
			problemOf(grpcapi.Status(codes.InvalidArgument, "REQUEST_MALFORMED", err.Error())).write(w)
			return
		}
		price, tax, violations := body.read()
		if len(violations) > 0 {
			problemOf(grpcapi.Status(codes.InvalidArgument, "FIELDS_INVALID", "the item is invalid", violations...)).write(w)
			return
		}
		sku, err := shortSKU(r.Header.Get(grpcapi.IdempotencyKey))
		if err != nil {
			log.ErrorContext(r.Context(), "no random numbers", "error", err)
			problemOf(grpcapi.Status(codes.Internal, "INTERNAL", "internal error")).write(w)
			return
		}
		_, err = items.CreateItem(r.Context(), &catalogv1.CreateItemRequest{Item: &catalogv1.Item{
			Sku: sku, Name: *body.name, UnitPrice: &moneyv1.Money{CurrencyCode: shortCurrency, MinorUnits: price},
		}})
		if err != nil {
			problemOf(err).write(w)
			return
		}
		answer, err := json.Marshal(shortCreated{"created", json.Number(money.FormatDecimal(tax, shortScale))})
		if err != nil {
			problemOf(grpcapi.Status(codes.Internal, "INTERNAL", "internal error")).write(w)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(append(answer, '\n'))
	}
}

// shortSKU generates a sku. It derives it from the idempotency key, if there is one, so that a repeated request has the same
// content.
func shortSKU(key string) (string, error) {
	if key != "" {
		return "item-" + uuid.NewSHA1(uuid.NameSpaceURL, []byte(key)).String(), nil
	}
	id, err := uuid.NewV7()
	return "item-" + id.String(), err
}

func readShort(r io.Reader) (shortItem, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return shortItem{}, err
	}
	found, err := members(content, "name", "price")
	if err != nil {
		return shortItem{}, err
	}
	var item shortItem
	if name, ok := found["name"]; ok && json.Unmarshal(name, &item.name) != nil {
		return shortItem{}, errors.New("the name is not a string")
	}
	if price, ok := found["price"]; ok && string(price) != "null" {
		item.price = price
	}
	return item, nil
}

// read returns the price and its tax in cents, or the violations.
func (s shortItem) read() (price, tax int64, violations []*errdetails.BadRequest_FieldViolation) {
	wrong := func(field, message string) {
		violations = append(violations, &errdetails.BadRequest_FieldViolation{Field: field, Description: message})
	}
	if s.name == nil || *s.name == "" {
		wrong("name", "must be given")
	}
	if s.price == nil {
		wrong("price", "must be given")
		return 0, 0, violations
	}
	price, err := money.ParseDecimal(string(s.price), shortScale)
	switch {
	case errors.Is(err, money.ErrTooPrecise):
		wrong("price", "must have at most two decimals")
	case errors.Is(err, money.ErrOverflow) || (err == nil && price > catalog.MaxAmountMinor):
		wrong("price", "must be at most 10000000000")
	case err != nil:
		wrong("price", "must be a number")
	case price < 0:
		wrong("price", "must not be negative")
	default:
		if tax, err = money.Rate(price, shortTaxRatePPM); err != nil {
			wrong("price", "is too large")
		}
	}
	return price, tax, violations
}
