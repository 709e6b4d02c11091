package httpapi_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/fleet"
	"hybrid/control-plane/internal/grpcapi"
	"hybrid/control-plane/internal/httpapi"
	"hybrid/control-plane/internal/ledger"
	"hybrid/control-plane/internal/readiness"
	"hybrid/control-plane/internal/snapshot"
)

// keeper keeps the item that it was last given.
type keeper struct {
	catalog.Repository[catalog.Item]
	created   catalog.Item
	requestID string
	err       error
}

func (k *keeper) Create(_ context.Context, i catalog.Item, requestID string) (catalog.Item, error) {
	i.Version = 2
	k.created, k.requestID = i, requestID
	return i, k.err
}

func (k *keeper) Get(_ context.Context, name string) (catalog.Item, error) {
	if k.err != nil {
		return catalog.Item{}, k.err
	}
	return catalog.Item{}, &catalog.KeyError{Key: catalog.Key{Kind: catalog.KindItem, Name: name}, Err: catalog.ErrNotFound}
}

func (k *keeper) Update(_ context.Context, i catalog.Item) (catalog.Item, error) {
	return i, &catalog.KeyError{Key: i.Key(), Err: catalog.ErrVersionMismatch}
}

func (k *keeper) Delete(context.Context, string, int64) error { panic("a fault of ours") }

// twoPlaces has totals of two places, one on a page.
type twoPlaces struct{ ledger.Reader }

func (twoPlaces) Totals(_ context.Context, after ledger.Place, _ int) ([]ledger.Total, bool, error) {
	if first := (ledger.Place{Currency: "EUR", Jurisdiction: "AT"}); after != first {
		return []ledger.Total{{Place: first}}, true, nil
	}
	return []ledger.Total{{Place: ledger.Place{Currency: "EUR", Jurisdiction: "DE-BY"}}}, false, nil
}

func serve(t *testing.T) (http.Handler, *keeper, *readiness.Readiness) {
	t.Helper()
	k := &keeper{}
	log := slog.New(slog.DiscardHandler)
	publisher := snapshot.NewPublisher(contract.UpdateEncoder{})
	registry := fleet.NewRegistry(nil)
	ready := readiness.New("task")
	handler, err := httpapi.NewHandler(t.Context(), grpcapi.Services{
		Catalog:  &grpcapi.Catalog{Items: catalog.NewCollection[catalog.Item](k), Log: log},
		Fleet:    &grpcapi.Fleet{Registry: registry, Publisher: publisher, Log: log},
		Snapshot: &grpcapi.Snapshot{},
		Ledger:   &grpcapi.Ledger{Reader: twoPlaces{}, Log: log},
	}, ready, log)
	if err != nil {
		t.Fatal(err)
	}
	return handler, k, ready
}

func ask(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

func TestCreateInTheShortForm(t *testing.T) {
	h, k, _ := serve(t)
	for body, want := range map[string]string{
		`{"name":"Widget","price":19.99}`:   `{"status":"created","tax":3.80}`,
		`{"name":"Widget","price":0}`:       `{"status":"created","tax":0.00}`,
		`{"name":"Widget","price":0.50}`:    `{"status":"created","tax":0.10}`,
		`{"price":1e2,"name":"Widget"}`:     `{"status":"created","tax":19.00}`,
		`{"name":"Widget","price":0.1}`:     `{"status":"created","tax":0.02}`,
		`{"name":"Widget","price":1.005e1}`: `{"status":"created","tax":1.91}`,
	} {
		w := ask(h, "POST", "/items", body)
		if w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("%s: %d %s, want %s", body, w.Code, w.Body, want)
		}
	}
	if k.created.UnitPrice.Currency != "EUR" || !strings.HasPrefix(k.created.SKU, "item-") {
		t.Errorf("created %+v", k.created)
	}
}

// internals are words of the language and the libraries that this program is made of.
var internals = regexp.MustCompile(`(?i)strconv|json[:.]|proto[:.\x{a0}]|\bgo\b|golang|unmarshal|runtime|type mismatch|\*|[a-z]v1\.[A-Z]|\bnil\b|parsing field`)

// plain checks that an answer names nothing of what this program is made of.
func plain(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if found := internals.FindString(w.Body.String()); w.Code >= 400 && found != "" {
		t.Errorf("an answer names %q: %.500s", found, w.Body)
	}
}

func TestProblems(t *testing.T) {
	h, k, _ := serve(t)
	valid := `{"sku":"mug","name":"Mug","unitPrice":{"currencyCode":"EUR","minorUnits":"1050"}}`
	for _, c := range []struct {
		method, path, body string
		status             int
		code, reason       string
		fields             string
	}{
		{"POST", "/items", `{"name":"Widget","price":`, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"POST", "/items", ``, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"POST", "/items", `{"name":"Widget","price":1} {}`, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"POST", "/items", `{"name":"Widget","price":1}]`, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"POST", "/items", `{"name":"Widget","price":1,"more":1}`, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"POST", "/items", `{}`, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "name price"},
		{"POST", "/items", `{"name":"Widget","price":null}`, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "price"},
		{"POST", "/items", `{"name":"Widget","price":"1"}`, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "price"},
		{"POST", "/items", `{"name":"Widget","price":-1}`, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "price"},
		{"POST", "/items", `{"name":"Widget","price":1.999}`, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "price"},
		{"POST", "/items", `{"name":"Widget","price":1e99}`, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "price"},
		{"GET", "/items", ``, 405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED", ""},
		{"GET", "/nowhere", ``, 404, "NOT_FOUND", "PATH_UNKNOWN", ""},
		{"GET", "/v1/nowhere", ``, 404, "NOT_FOUND", "PATH_UNKNOWN", ""},
		{"PATCH", "/v1/items", ``, 405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED", ""},
		{"POST", "/v1/items", valid + "x", 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"POST", "/v1/items", `{"sku":"mug","unknown":1}`, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"POST", "/v1/items", `{"unitPrice":{"minorUnits":"9223372036854775808"}}`, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"POST", "/v1/items", `{"unitPrice":{"minorUnits":1.5}}`, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"POST", "/v1/items", ``, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "sku name unit_price.currency_code"},
		{"POST", "/v1/items", strings.Repeat(" ", httpapi.MaxBodyBytes+1), 413, "INVALID_ARGUMENT", "BODY_TOO_LARGE", ""},
		{"GET", "/v1/items/none", ``, 404, "NOT_FOUND", "NOT_FOUND", ""},
		{"GET", "/v1/items/%ff%00", ``, 404, "NOT_FOUND", "NOT_FOUND", ""},
		{"GET", "/v1/items?pageSize=1001", ``, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "page_size"},
		{"GET", "/v1/ledger/totals?pageSize=1001", ``, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "page_size"},
		{"GET", "/v1/ledger/totals?pageSize=-1", ``, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "page_size"},
		{"GET", "/v1/ledger/totals?pageToken=" + catalog.PageToken("ledger_entry", "1"), ``, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "page_token"},
		{"GET", "/v1/ledger/totals?pageToken=" + catalog.PageToken("ledger_total", "EUR"), ``, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "page_token"},
		{"GET", "/v1/items?pageToken=x", ``, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "page_token"},
		{"GET", "/v1/items?pageSize=many", ``, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"GET", "/v1/items?pageSize=", ``, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"GET", "/v1/items?pageSize=99999999999", ``, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"GET", "/v1/items?page_size=1.5", ``, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"GET", "/v1/items?pageToken=%zz", ``, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"GET", "/v1/items?pageToken=a;b", ``, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"GET", "/v1/items?pageToken=%ff", ``, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "page_token"},
		{"GET", "/v1/fleet/nodes?pageSize=many", ``, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"GET", "/v1/fleet/nodes?pageSize=1001", ``, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "page_size"},
		{"GET", "/v1/fleet/nodes?pageToken=x", ``, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "page_token"},
		{"GET", "/v1/ledger/totals?pageSize=many", ``, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"GET", "/v1/ledger/entries?pageSize=many", ``, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"DELETE", "/v1/items/mug?version=first", ``, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"DELETE", "/v1/items/mug?version=9223372036854775808", ``, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"POST", "/v1/items", `[]`, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"POST", "/v1/items", `{"sku":1}`, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"POST", "/v1/items", `{"unitPrice":1}`, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"POST", "/v1/items", `{"unitPrice":{"minorUnits":"much"}}`, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"POST", "/v1/items", `{"updatedAt":"yesterday"}`, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"POST", "/v1/items:batchCreate", `{"items":{}}`, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"POST", "/v1/promotions", `{"skus":"mug"}`, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"POST", "/v1/promotions", `{"percentOffPpm":1,"amountOffMinor":1}`, 400, "INVALID_ARGUMENT", "REQUEST_MALFORMED", ""},
		{"PUT", "/v1/items/mug", strings.Replace(valid, "{", `{"version":"1",`, 1), 409, "ABORTED", "VERSION_MISMATCH", ""},
		{"PUT", "/v1/items/mug", valid, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "version"},
		{"DELETE", "/v1/items/mug", ``, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "version"},
		{"DELETE", "/v1/items/mug?version=1", ``, 500, "INTERNAL", "INTERNAL", ""},
		{"GET", "/v1/fleet/nodes/none", ``, 404, "NOT_FOUND", "NOT_FOUND", ""},
		{"GET", "/v1/ledger/entries?pageToken=MTp4", ``, 400, "INVALID_ARGUMENT", "FIELDS_INVALID", "page_token"},
	} {
		w := ask(h, c.method, c.path, c.body)
		var p struct {
			Type, Title, Detail, Code, Reason string
			Status                            int
			Errors                            []struct{ Field, Message string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Errorf("%s %s: %v in %s", c.method, c.path, err, w.Body)
			continue
		}
		var fields []string
		for _, e := range p.Errors {
			fields = append(fields, e.Field)
		}
		if w.Code != c.status || p.Status != c.status || p.Code != c.code || p.Reason != c.reason || strings.Join(fields, " ") != c.fields ||
			w.Header().Get("Content-Type") != "application/problem+json" || p.Title == "" || p.Type == "" {
			t.Errorf("%s %s %.80s: %d %s", c.method, c.path, c.body, w.Code, w.Body)
		}
		plain(t, w)
	}
	k.err = catalog.ErrUnavailable
	if w := ask(h, "GET", "/v1/items/mug", ""); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "STORE_UNAVAILABLE") {
		t.Errorf("without a store: %d %s", w.Code, w.Body)
	}
}

func TestIdempotencyKeyIsTheRequestID(t *testing.T) {
	h, k, _ := serve(t)
	const id = "0192d3a4-0000-7000-8000-000000000001"
	for path, body := range map[string]string{
		"/items":    `{"name":"Mug","price":10.50}`,
		"/v1/items": `{"sku":"mug","name":"Mug","unitPrice":{"currencyCode":"EUR","minorUnits":1050}}`,
	} {
		r := httptest.NewRequest("POST", path, strings.NewReader(body))
		r.Header.Set("Idempotency-Key", id)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK || k.requestID != id {
			t.Errorf("%s: %d %s, request id %q", path, w.Code, w.Body, k.requestID)
		}
		if path == "/items" {
			first := k.created.SKU
			h.ServeHTTP(httptest.NewRecorder(), again(r, body))
			if k.created.SKU != first {
				t.Errorf("repeated, %s became %s", first, k.created.SKU)
			}
			continue
		}
		if want := `"unitPrice":{"currencyCode":"EUR","minorUnits":"1050"}`; !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s lacks %s", w.Body, want)
		}
	}
}

func again(r *http.Request, body string) *http.Request {
	repeated := httptest.NewRequest(r.Method, r.URL.Path, strings.NewReader(body))
	repeated.Header = r.Header
	return repeated
}

func TestHealth(t *testing.T) {
	h, _, ready := serve(t)
	for _, c := range []struct {
		change func()
		status int
		body   string
	}{
		{func() {}, 503, `{"status":"pending","tasks":[{"name":"task","status":"pending","detail":""}]}`},
		{func() { ready.Complete("task", "") }, 200, `{"status":"ready","tasks":[{"name":"task","status":"done","detail":""}]}`},
		{func() { ready.Degrade("task", "slow") }, 200, `{"status":"degraded","tasks":[{"name":"task","status":"pending","detail":"slow"}]}`},
		{func() { ready.Reopen("task", "away") }, 503, `{"status":"pending","tasks":[{"name":"task","status":"pending","detail":"away"}]}`},
		{func() { ready.Complete("task", ""); ready.Drain() }, 503, `{"status":"draining","tasks":[{"name":"task","status":"done","detail":""}]}`},
	} {
		c.change()
		if w := ask(h, "GET", "/readyz", ""); w.Code != c.status || strings.TrimSpace(w.Body.String()) != c.body {
			t.Errorf("%d %s, want %d %s", w.Code, w.Body, c.status, c.body)
		}
	}
	if w := ask(h, "GET", "/v1/items/mug", ""); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "DRAINING") {
		t.Errorf("a new call while draining: %d %s", w.Code, w.Body)
	}
	if w := ask(h, "GET", "/livez", ""); w.Code != http.StatusOK {
		t.Errorf("livez: %d", w.Code)
	}
	h, _, _ = serve(t)
	if w := ask(h, "GET", "/openapi.json", ""); w.Code != http.StatusOK || !json.Valid(w.Body.Bytes()) || !strings.Contains(w.Body.String(), "/v1/items/{sku}") {
		t.Errorf("openapi.json: %d %.200s", w.Code, w.Body)
	}
}

// A caller that follows the tokens begins with an empty one.
func TestPagesOfTotals(t *testing.T) {
	h, _, _ := serve(t)
	token := ""
	for _, place := range []string{"AT", "DE-BY"} {
		w := ask(h, "GET", "/v1/ledger/totals?pageToken="+token, "")
		var page struct {
			Totals        []struct{ Jurisdiction string }
			NextPageToken string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK || len(page.Totals) != 1 || page.Totals[0].Jurisdiction != place {
			t.Fatalf("%d %s, %v", w.Code, w.Body, err)
		}
		token = page.NextPageToken
	}
	if token != "" {
		t.Errorf("the last page is followed by %q", token)
	}
}
