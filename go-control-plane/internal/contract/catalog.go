// Package contract translates between the domain and the messages of the protos.
package contract

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	moneyv1 "hybrid/control-plane/gen/hybrid/money/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/money"
)

// Item returns the message.
func Item(i catalog.Item) *catalogv1.Item {
	return &catalogv1.Item{
		Sku: i.SKU, Name: i.Name, UnitPrice: Money(i.UnitPrice), TaxCategory: i.TaxCategory,
		Version: i.Version, UpdatedAt: Timestamp(i.UpdatedAt),
	}
}

// ToItem reads a message. It ignores output-only fields except the version.
func ToItem(m *catalogv1.Item) catalog.Item {
	return catalog.Item{SKU: m.GetSku(), Name: m.GetName(), UnitPrice: ToMoney(m.GetUnitPrice()), TaxCategory: m.GetTaxCategory(), Version: m.GetVersion()}
}

// TaxRule returns the message.
func TaxRule(r catalog.TaxRule) *catalogv1.TaxRule {
	return &catalogv1.TaxRule{
		Jurisdiction: r.Jurisdiction, Category: r.Category, RatePpm: r.RatePPM,
		Version: r.Version, UpdatedAt: Timestamp(r.UpdatedAt),
	}
}

// ToTaxRule reads a message. It ignores output-only fields except the version.
func ToTaxRule(m *catalogv1.TaxRule) catalog.TaxRule {
	return catalog.TaxRule{Jurisdiction: m.GetJurisdiction(), Category: m.GetCategory(), RatePPM: m.GetRatePpm(), Version: m.GetVersion()}
}

// Promotion returns the message.
func Promotion(p catalog.Promotion) *catalogv1.Promotion {
	m := &catalogv1.Promotion{
		PromotionId: p.ID, Name: p.Name, Skus: p.SKUs, Coupon: p.Coupon, MinQuantity: p.MinQuantity,
		StartsAt: Timestamp(p.StartsAt), EndsAt: Timestamp(p.EndsAt), Budget: Money(p.Budget),
		SpentMinor: p.SpentMinor, Exhausted: p.Exhausted, Version: p.Version, UpdatedAt: Timestamp(p.UpdatedAt),
		CreatedVersion: p.CreatedVersion,
	}
	if p.AmountOffMinor != 0 {
		m.Discount = &catalogv1.Promotion_AmountOffMinor{AmountOffMinor: p.AmountOffMinor}
	} else {
		m.Discount = &catalogv1.Promotion_PercentOffPpm{PercentOffPpm: p.PercentOffPPM}
	}
	return m
}

// ToPromotion reads a message. It ignores output-only fields except the version.
func ToPromotion(m *catalogv1.Promotion) catalog.Promotion {
	return catalog.Promotion{
		ID: m.GetPromotionId(), Name: m.GetName(), PercentOffPPM: m.GetPercentOffPpm(), AmountOffMinor: m.GetAmountOffMinor(),
		SKUs: m.GetSkus(), Coupon: m.GetCoupon(), MinQuantity: m.GetMinQuantity(),
		StartsAt: ToTime(m.GetStartsAt()), EndsAt: ToTime(m.GetEndsAt()), Budget: ToMoney(m.GetBudget()), Version: m.GetVersion(),
	}
}

// Money returns the message.
func Money(m money.Money) *moneyv1.Money {
	return &moneyv1.Money{CurrencyCode: m.Currency, MinorUnits: m.Minor}
}

// ToMoney reads a message. An absent one has no currency.
func ToMoney(m *moneyv1.Money) money.Money {
	return money.Money{Currency: m.GetCurrencyCode(), Minor: m.GetMinorUnits()}
}

// Timestamp returns the message, which is nil for the zero time.
func Timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// ToTime reads a message. An absent one is the zero time; an invalid one becomes a time that validation refuses.
func ToTime(t *timestamppb.Timestamp) time.Time {
	switch {
	case t == nil:
		return time.Time{}
	case !t.IsValid():
		return time.Date(1_000_000, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return t.AsTime()
}
