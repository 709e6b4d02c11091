package kafka

import (
	"context"
	"errors"
	"time"
)

// answerTimeout is how long a broker may take to answer all that is asked of it at a time.
const answerTimeout = 5 * time.Second

var errNoAnswer = errors.New("kafka: no answer in time")

// within returns what work returns, or an error if ctx is done or limit has passed before; then late gets what comes.
func within[T any](ctx context.Context, limit time.Duration, work func() (T, error), late func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := work()
		done <- result{value, err}
	}()
	var err error
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(limit):
		err = errNoAnswer
	}
	go func() { late((<-done).value) }()
	var none T
	return none, err
}

// answered is within for work that has no other result.
func answered(ctx context.Context, work func() error) error {
	_, err := within(ctx, answerTimeout, func() (struct{}, error) { return struct{}{}, work() }, func(struct{}) {})
	return err
}
