package kafka

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hybrid/control-plane/internal/ledger"
)

// A consumption that only has to begin elsewhere begins again at once, and is not bad health. After any other failure there is
// a pause, and health is bad until something was booked.
func TestConsumptionIsRepeated(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		atOnce bool
		health string
		says   string
	}{
		"the ledger went back": {fmt.Errorf("partition 0: %w", ledger.ErrOffsetWentBack), true, "[<nil>]", "the ledger is in an older state"},
		"another topic":        {errOtherTopic, true, "[<nil>]", "usage consumption starts again"},
		"away":                 {errAway, false, "[away <nil>]", "usage consumption recovered"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var lines bytes.Buffer
			var health []error
			u := consumer(nil, nil)
			u.Log = slog.New(slog.NewTextHandler(&lines, nil))
			u.Healthy = func(err error) { health = append(health, err) }
			began, attempts := time.Now(), 0
			ctx, cancel := context.WithCancel(t.Context())
			err := u.repeat(ctx, func(_ context.Context, succeeded func()) error {
				attempts++
				if attempts == 1 {
					return c.err
				}
				succeeded()
				cancel()
				return ctx.Err()
			})
			if err != nil || attempts != 2 || (time.Since(began) == 0) != c.atOnce || fmt.Sprint(health) != c.health || !strings.Contains(lines.String(), c.says) {
				t.Errorf("%s: %v, %d attempts after %v, health %v, lines:\n%s", name, err, attempts, time.Since(began), health, lines.String())
			}
		})
	}
}

// Topics are looked for again and again: soon after a failure, which is bad health, at intervals else. A look that is cut off by
// the end is not bad health, and the end is not waited for.
func TestTopicsAreLookedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var health []error
		var lines bytes.Buffer
		k := &Keeper{Log: slog.New(slog.NewTextHandler(&lines, nil)), Healthy: func(err error) { health = append(health, err) }}
		began := time.Now()
		var looks []time.Duration
		ctx, cancel := context.WithTimeout(t.Context(), 3*lookInterval+lookInterval/2)
		defer cancel()
		err := k.repeat(ctx, func(context.Context) error {
			looks = append(looks, time.Since(began))
			if len(looks) == 1 {
				return errAway
			}
			return nil
		})
		if err != nil || time.Since(began) != 3*lookInterval+lookInterval/2 || fmt.Sprint(health) != "[away <nil> <nil> <nil> <nil>]" {
			t.Fatalf("%v after %v, health %v", err, time.Since(began), health)
		}
		if text := lines.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "creation of the Kafka topics recovered") {
			t.Errorf("lines:\n%s", text)
		}
		if looks[0] != 0 || looks[1] == 0 || looks[1] > time.Second || fmt.Sprint(looks[2:]) != fmt.Sprint([]time.Duration{lookInterval, 2 * lookInterval, 3 * lookInterval}) {
			t.Errorf("looked after %v", looks)
		}
		health = nil
		ended, stop := context.WithCancel(t.Context())
		if err := k.repeat(ended, func(context.Context) error { stop(); return errAway }); err != nil || health != nil {
			t.Errorf("%v, health %v", err, health)
		}
	})
}
