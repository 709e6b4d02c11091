package kafka

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Who asks gets the answer, or an error once the time is over or nobody waits any more. An answer that comes later is not lost.
func TestAnAnswerIsWaitedForWithinLimits(t *testing.T) {
	const limit = time.Minute
	for name, c := range map[string]struct {
		takes, patience time.Duration
		fails           error
		err             error
		after           time.Duration
		late            bool
	}{
		"in time":            {limit - 1, time.Hour, nil, nil, limit - 1, false},
		"fails in time":      {limit - 1, time.Hour, errAway, errAway, limit - 1, false},
		"too late":           {limit + 1, time.Hour, nil, errNoAnswer, limit, true},
		"nobody waits":       {limit - 1, time.Second, nil, context.DeadlineExceeded, time.Second, true},
		"fails, and is late": {limit + 1, time.Hour, errAway, errNoAnswer, limit, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), c.patience)
			defer cancel()
			late := 0
			began := time.Now()
			answer, err := within(ctx, limit, func() (int, error) {
				time.Sleep(c.takes)
				return 7, c.fails
			}, func(n int) { late += n })
			if !errors.Is(err, c.err) || time.Since(began) != c.after || (answer == 7) == c.late {
				t.Errorf("%s: %d, %v after %v", name, answer, err, time.Since(began))
			}
			time.Sleep(2 * limit)
			synctest.Wait()
			if (late == 7) != c.late {
				t.Errorf("%s: %d came late", name, late)
			}
		})
	}
}

func TestAnsweredTellsWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if err := answered(t.Context(), func() error { return errAway }); err != errAway {
			t.Error(err)
		}
		if err := answered(t.Context(), func() error { return nil }); err != nil {
			t.Error(err)
		}
		began := time.Now()
		err := answered(t.Context(), func() error { time.Sleep(time.Hour); return nil })
		defer time.Sleep(time.Hour)
		if err != errNoAnswer || time.Since(began) != answerTimeout {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
