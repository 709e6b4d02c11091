package catalog

import (
	"errors"
	"fmt"
	"strings"
)

// The ways in which a use case fails, but for bad input, which is a ValidationError.
var (
	ErrNotFound        = errors.New("no such resource")
	ErrAlreadyExists   = errors.New("the resource exists already")
	ErrVersionMismatch = errors.New("the resource has another version")
	// ErrRequestIDReused says that a create's request id came before with other content.
	ErrRequestIDReused = errors.New("the request id was used for other content")
	// ErrUnavailable says that the store cannot be reached now; a later try may succeed.
	ErrUnavailable = errors.New("the store is unavailable")
)

// KeyError is one of the errors above, about one resource.
type KeyError struct {
	Key Key
	Err error
}

func (e *KeyError) Error() string { return fmt.Sprintf("%s: %v", e.Key, e.Err) }

// Unwrap gives the sentinel.
func (e *KeyError) Unwrap() error { return e.Err }

// Violation is what is wrong with one field.
type Violation struct {
	// Field is a path in the words of the contract: "unit_price.minor_units".
	Field   string
	Message string
}

// ValidationError is bad input: every violation at once.
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

// Invalid is a ValidationError about one field.
func Invalid(field, message string) error {
	return &ValidationError{[]Violation{{field, message}}}
}
