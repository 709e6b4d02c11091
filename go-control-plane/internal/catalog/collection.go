package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Page sizes of a list.
const (
	DefaultPageSize = 50
	MaxPageSize     = 1_000
	// MaxPageBytes is how large the content of a page may become; its answer is somewhat larger.
	MaxPageBytes = 1 << 20
)

// MaxBatch is the largest number of resources that are created together.
const MaxBatch = 1_000

// Repository stores the resources of one kind. Every write is one transaction, which also takes the next catalog version, and
// is durable when the call returns. Errors are those of this package.
type Repository[R Resource] interface {
	// Create adds r. A request id makes it idempotent for a day: a repeated call returns the result of the first.
	Create(ctx context.Context, r R, requestID string) (R, error)
	// CreateAll adds all of the resources, whose keys differ, at one version, or none of them. They are at least one.
	CreateAll(ctx context.Context, all []R, requestID string) ([]R, error)
	Get(ctx context.Context, name string) (R, error)
	// List returns the first resources whose names are greater than after, in byte order, and whether there are more. It returns at
	// most limit, and fewer, but at least one, where these are larger than MaxPageBytes.
	List(ctx context.Context, after string, limit int) (page []R, more bool, err error)
	// Update replaces the resource whose version is r's. An update that was just done, and is repeated, returns its result.
	Update(ctx context.Context, r R) (R, error)
	// Delete removes the resource if its version is version. One that was just done, and is repeated, succeeds again.
	Delete(ctx context.Context, name string, version int64) error
}

// Collection implements the use cases of one kind of resource.
type Collection[R interface {
	Resource
	normalizer[R]
}] struct {
	repository Repository[R]
}

type normalizer[R any] interface{ normalized() (R, error) }

// NewCollection returns the use cases over the resources in repository.
func NewCollection[R interface {
	Resource
	normalizer[R]
}](repository Repository[R]) *Collection[R] {
	return &Collection[R]{repository}
}

// Create validates and adds r. The request id is empty or a UUID; a UUID makes the call idempotent.
func (c *Collection[R]) Create(ctx context.Context, r R, requestID string) (R, error) {
	r, err := r.normalized()
	requestID, err = normalizedID(requestID, err)
	if err != nil {
		return r, err
	}
	return c.repository.Create(ctx, r, requestID)
}

// CreateAll validates and adds all of the resources, or none. Violations name them as those of this field.
func (c *Collection[R]) CreateAll(ctx context.Context, all []R, field, requestID string) ([]R, error) {
	if len(all) < 1 || len(all) > MaxBatch {
		return nil, Invalid(field, fmt.Sprintf("must be 1 to %d", MaxBatch))
	}
	var found error
	seen := map[Key]bool{}
	normal := make([]R, len(all))
	for i, r := range all {
		at := fmt.Sprintf("%s[%d]", field, i)
		r, err := r.normalized()
		var invalid *ValidationError
		if errors.As(err, &invalid) {
			for _, v := range invalid.Violations {
				found = also(found, Violation{at + "." + v.Field, v.Message})
			}
		}
		if seen[r.Key()] {
			found = also(found, Violation{at, "has the key of another one"})
		}
		seen[r.Key()], normal[i] = true, r
	}
	requestID, found = normalizedID(requestID, found)
	if found != nil {
		return nil, found
	}
	return c.repository.CreateAll(ctx, normal, requestID)
}

// normalizedID returns the request id in its canonical form, and adds a violation to err if it is not empty and no UUID.
func normalizedID(requestID string, err error) (string, error) {
	if requestID == "" {
		return "", err
	}
	id, malformed := uuid.Parse(requestID)
	if malformed != nil {
		err = also(err, Violation{"request_id", "must be a UUID"})
	}
	return id.String(), err
}

// Get finds a resource by the name of its key.
func (c *Collection[R]) Get(ctx context.Context, name string) (R, error) {
	if !possibleName(name) {
		var none R
		return none, &KeyError{Key{none.Key().Kind, name}, ErrNotFound}
	}
	return c.repository.Get(ctx, name)
}

// List returns a page of resources, ordered by key, and the token of the next page, which is empty on the last page.
func (c *Collection[R]) List(ctx context.Context, pageSize int, token string) ([]R, string, error) {
	size, err := PageSize(pageSize)
	var none R
	list := string(none.Key().Kind)
	after, malformed := ParsePageToken(list, token)
	if malformed != nil {
		err = also(err, Violation{"page_token", "is not a token of this list"})
	}
	if err != nil {
		return nil, "", err
	}
	page, more, err := c.repository.List(ctx, after, size)
	if err != nil || !more {
		return page, "", err
	}
	return page, PageToken(list, page[len(page)-1].Key().Name), nil
}

// Update validates r and replaces the resource if its version is still that of r.
func (c *Collection[R]) Update(ctx context.Context, r R) (R, error) {
	r, err := r.normalized()
	if r.ResourceVersion() <= 0 {
		err = also(err, Violation{"version", "must be the version that the update is based on"})
	}
	if err != nil {
		return r, err
	}
	return c.repository.Update(ctx, r)
}

// Delete removes the resource if its version is still version.
func (c *Collection[R]) Delete(ctx context.Context, name string, version int64) error {
	if version <= 0 {
		return Invalid("version", "must be the version that the delete is based on")
	}
	if !possibleName(name) {
		var none R
		return &KeyError{Key{none.Key().Kind, name}, ErrNotFound}
	}
	return c.repository.Delete(ctx, name, version)
}

// possibleName reports whether name is text that Postgres can store.
func possibleName(name string) bool {
	return utf8.ValidString(name) && strings.IndexByte(name, 0) < 0
}

// PageSize returns the size of a page of which asked resources were requested.
func PageSize(asked int) (int, error) {
	switch {
	case asked == 0:
		return DefaultPageSize, nil
	case asked < 0 || asked > MaxPageSize:
		return 0, Invalid("page_size", "must be 0 to 1000")
	}
	return asked, nil
}

func also(err error, v Violation) error {
	invalid, ok := err.(*ValidationError)
	if !ok {
		return &ValidationError{[]Violation{v}}
	}
	return &ValidationError{append(invalid.Violations, v)}
}
