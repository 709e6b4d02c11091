// Package items answers the requests of the items twin: a plain text, and the short form of creating an item, with and without
// a database. It has a twin in Rust; Lab/twins/README.md says where the two differ.
package items

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
)

const (
	maxBody = 64 << 10
	taxRate = 0.19
	// MaxPrice is the largest price that is accepted.
	MaxPrice = 10_000_000_000
)

// Store keeps items.
type Store interface {
	// Insert stores an item and returns its id.
	Insert(ctx context.Context, name string, price, tax float64) (int64, error)
}

// newItem has pointers to tell what is missing from what is zero.
type newItem struct {
	Name  *string  `json:"name"`
	Price *float64 `json:"price"`
}

type created struct {
	Status string  `json:"status"`
	Tax    float64 `json:"tax"`
}

type stored struct {
	created
	ID int64 `json:"id"`
}

// requestError is a request that is refused.
type requestError struct {
	status  int
	message string
}

func (e *requestError) Error() string { return e.message }

// Handler returns the routes of the twin. The store is nil where there is no database.
func Handler(store Store, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { plain(w, "ok") })
	mux.HandleFunc("GET /plaintext", func(w http.ResponseWriter, _ *http.Request) { plain(w, "Hello, World!") })
	mux.HandleFunc("POST /items", func(w http.ResponseWriter, r *http.Request) {
		item, err := read(w, r)
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, created{"created", *item.Price * taxRate}, log)
	})
	mux.HandleFunc("POST /stored-items", func(w http.ResponseWriter, r *http.Request) {
		item, err := read(w, r)
		if err != nil {
			refuse(w, err)
			return
		}
		if store == nil {
			http.Error(w, "there is no database", http.StatusServiceUnavailable)
			return
		}
		tax := *item.Price * taxRate
		id, err := store.Insert(r.Context(), *item.Name, *item.Price, tax)
		if err != nil {
			log.ErrorContext(r.Context(), "an item was not stored", "error", err)
			http.Error(w, "the item was not stored", http.StatusServiceUnavailable)
			return
		}
		answer(w, stored{created{"created", tax}, id}, log)
	})
	return mux
}

func plain(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, text)
}

// read returns the item in a request's body, complete and valid. Its error is a *requestError.
func read(w http.ResponseWriter, r *http.Request) (newItem, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return newItem{}, &requestError{http.StatusUnsupportedMediaType, "the content type must be application/json"}
	}
	var item newItem
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&item)
	if err == nil {
		err = atEnd(decoder)
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return newItem{}, &requestError{http.StatusRequestEntityTooLarge, "the body is too large"}
	case err != nil:
		return newItem{}, &requestError{http.StatusBadRequest, fmt.Sprintf("the body cannot be read: %v", err)}
	case item.Name == nil || *item.Name == "":
		return newItem{}, &requestError{http.StatusBadRequest, "name must be given"}
	case item.Price == nil:
		return newItem{}, &requestError{http.StatusBadRequest, "price must be given"}
	case *item.Price < 0 || *item.Price > MaxPrice:
		return newItem{}, &requestError{http.StatusBadRequest, "price must be 0 to 10000000000"}
	}
	return item, nil
}

// atEnd returns an error if something follows the value that was read.
func atEnd(decoder *json.Decoder) error {
	switch _, err := decoder.Token(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	default:
		return errors.New("something follows the item")
	}
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var refusal *requestError
	if errors.As(err, &refusal) {
		status = refusal.status
	}
	http.Error(w, err.Error(), status)
}

func answer(w http.ResponseWriter, body any, log *slog.Logger) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Debug("an answer was not written", "error", err)
	}
}
