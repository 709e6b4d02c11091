package catalog

import (
	"errors"
	"fmt"
	"strings"
)

// The errors of the use cases, except for bad input, which is a ValidationError.
var (
	ErrNotFound        = errors.New("no such resource")
	ErrAlreadyExists   = errors.New("the resource exists already")
	ErrVersionMismatch = errors.New("the resource has another version")
	// ErrRequestIDReused means that the request id was used before with different content.
	ErrRequestIDReused = errors.New("the request id was used for other content")
	// ErrTooManyPromotions means that a promotion would be more than MaxPromotionsOfSKU for a sku, or for all of them.
	ErrTooManyPromotions = errors.New("too many promotions for one line of a quote")
	// ErrUnavailable means that the store cannot be reached; a retry may succeed.
	ErrUnavailable = errors.New("the store is unavailable")
)

// KeyError is one of the errors above, about one resource.
type KeyError struct {
	Key Key
	Err error
}

func (e *KeyError) Error() string { return fmt.Sprintf("%s: %v", e.Key, e.Err) }

// Unwrap returns Err.
func (e *KeyError) Unwrap() error { return e.Err }

// Violation is one field that is invalid.
type Violation struct {
	// Field is a path in the names of the contract: "unit_price.minor_units".
	Field   string
	Message string
}

// ValidationError is bad input, with all violations.
type ValidationError struct {
	Violations []Violation
}

func (e *ValidationError) Error() string {
	texts := make([]string, len(e.Violations))
	for i, v := range e.Violations {
		texts[i] = v.Field + ": " + v.Message
	}
	return "invalid: " + strings.Join(texts, "; ")
}

// Invalid returns a ValidationError about one field.
func Invalid(field, message string) error {
	return &ValidationError{[]Violation{{field, message}}}
}
