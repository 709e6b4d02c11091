// Command measure times quotes that Go asks the pricing core for in its own process. It prints one JSON object.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"hybrid/interop/pricing"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func run() error {
	calls := 1_000_000
	if len(os.Args) > 1 {
		var err error
		if calls, err = strconv.Atoi(os.Args[1]); err != nil || calls < 1 {
			return fmt.Errorf("the number of calls must be above zero, not %q", os.Args[1])
		}
	}
	snapshot, err := catalog()
	if err != nil {
		return err
	}
	defer snapshot.Close()
	basket := pricing.NewBasket("EUR", "LAB", []pricing.Line{{SKU: "lab-mug", Quantity: 3}})
	defer basket.Close()
	now := time.Unix(1_790_000_000, 0)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	best := time.Duration(1<<63 - 1)
	// The shortest of five runs, because everything else on a machine can only add to it.
	for range 5 {
		start := time.Now()
		for range calls {
			if _, err := snapshot.Quote(basket, now); err != nil {
				return fmt.Errorf("quote: %w", err)
			}
		}
		best = min(best, time.Since(start))
	}
	runtime.ReadMemStats(&after)
	return json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"nanos":     float64(best.Nanoseconds()) / float64(calls),
		"allocated": float64(after.TotalAlloc-before.TotalAlloc) / float64(5*calls),
	})
}

func catalog() (*pricing.Snapshot, error) {
	c, err := pricing.NewCatalog()
	if err != nil {
		return nil, err
	}
	err = c.PutItem("lab-mug", "EUR", 1_999, "")
	if err == nil {
		err = c.PutTaxRule("LAB", "standard", 190_000)
	}
	if err == nil {
		err = c.PutPromotion(pricing.Promotion{
			ID: "lab", PercentOffPPM: 100_000, SKUs: []string{"lab-mug"}, BudgetCurrency: "EUR", BudgetMinor: 1_000_000_000_000,
		})
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("catalog: %w", err)
	}
	return c.Finish(1), nil
}
