package items_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hybrid/twins/internal/items"
)

type fakeStore struct{ err error }

func (f fakeStore) Insert(context.Context, string, float64, float64) (int64, error) { return 7, f.err }

func post(t *testing.T, store items.Store, path, contentType, body string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	recorder := httptest.NewRecorder()
	items.Handler(store, slog.New(slog.DiscardHandler)).ServeHTTP(recorder, request)
	return recorder
}

func TestItems(t *testing.T) {
	const kind = "application/json"
	for _, c := range []struct {
		name, contentType, body string
		status                  int
	}{
		{"valid", kind, `{"name":"a","price":100}`, http.StatusOK},
		{"free", kind + "; charset=utf-8", `{"name":"a","price":0}`, http.StatusOK},
		{"without content type", "", `{"name":"a","price":1}`, http.StatusUnsupportedMediaType},
		{"as text", "text/plain", `{"name":"a","price":1}`, http.StatusUnsupportedMediaType},
		{"empty", kind, ``, http.StatusBadRequest},
		{"not JSON", kind, `{"name":`, http.StatusBadRequest},
		{"more than one value", kind, `{"name":"a","price":1}{}`, http.StatusBadRequest},
		{"without name", kind, `{"price":1}`, http.StatusBadRequest},
		{"empty name", kind, `{"name":"","price":1}`, http.StatusBadRequest},
		{"without price", kind, `{"name":"a"}`, http.StatusBadRequest},
		{"price null", kind, `{"name":"a","price":null}`, http.StatusBadRequest},
		{"price as text", kind, `{"name":"a","price":"1"}`, http.StatusBadRequest},
		{"negative price", kind, `{"name":"a","price":-0.01}`, http.StatusBadRequest},
		{"huge price", kind, `{"name":"a","price":10000000000.01}`, http.StatusBadRequest},
		{"unknown member", kind, `{"name":"a","price":1,"more":1}`, http.StatusBadRequest},
		{"too large", kind, `{"name":"` + strings.Repeat("a", 64<<10) + `","price":1}`, http.StatusRequestEntityTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, path := range []string{"/items", "/stored-items"} {
				if got := post(t, fakeStore{}, path, c.contentType, c.body); got.Code != c.status {
					t.Errorf("%s: %d %s, want %d", path, got.Code, got.Body, c.status)
				}
			}
		})
	}
}

func TestTheAnswerNamesTheTaxAndTheStoredId(t *testing.T) {
	var got struct {
		Status string
		Tax    float64
		ID     int64
	}
	response := post(t, fakeStore{}, "/stored-items", "application/json", `{"name":"a","price":100}`)
	if err := json.Unmarshal(response.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Status != "created" || got.Tax != 19 || got.ID != 7 {
		t.Errorf("got %+v", got)
	}
}

func TestWithoutADatabaseNothingIsStored(t *testing.T) {
	for name, store := range map[string]items.Store{"none": nil, "broken": fakeStore{errors.New("away")}} {
		response := post(t, store, "/stored-items", "application/json", `{"name":"a","price":1}`)
		if response.Code != http.StatusServiceUnavailable || strings.Contains(response.Body.String(), "away") {
			t.Errorf("%s: %d %s", name, response.Code, response.Body)
		}
	}
}
