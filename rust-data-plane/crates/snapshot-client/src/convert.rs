//! Converts resources from the wire format to priceable ones.

use contracts::hybrid::catalog::v1 as catalog;
use contracts::hybrid::snapshot::v1::resource::Resource;
use contracts::hybrid::snapshot::v1::{ResourceKey, ResourceType};
use pricing::{Discount, Edit, Instant, Invalid, Item, Promotion, PromotionTerms, TaxRule};

/// The resource's key, and the version that it is.
pub(crate) fn identify(resource: &Resource) -> (ResourceKey, i64) {
    let (kind, name, version) = match resource {
        Resource::Item(item) => (ResourceType::Item, item.sku.clone(), item.version),
        Resource::TaxRule(rule) => {
            let category = if rule.category.is_empty() { "standard" } else { &rule.category };
            (ResourceType::TaxRule, format!("{}/{category}", rule.jurisdiction), rule.version)
        }
        Resource::Promotion(promotion) => (ResourceType::Promotion, promotion.promotion_id.clone(), promotion.version),
    };
    (ResourceKey { r#type: kind.into(), name }, version)
}

/// "<type>/<name>", as in the digest, with its number for a type that is not known; `None` for none.
pub(crate) fn path(key: &ResourceKey) -> Option<String> {
    let kind = match ResourceType::try_from(key.r#type) {
        Ok(ResourceType::Item) => "item",
        Ok(ResourceType::TaxRule) => "tax_rule",
        Ok(ResourceType::Promotion) => "promotion",
        Ok(ResourceType::Unspecified) => return None,
        Err(_) => return Some(format!("{}/{}", key.r#type, key.name)),
    };
    Some(format!("{kind}/{}", key.name))
}

/// Adds the resource to the snapshot under construction, if it is valid.
pub(crate) fn put(edit: &mut Edit, resource: &Resource) -> Result<(), Invalid> {
    match resource {
        Resource::Item(item) => edit.put_item(self::item(item)?),
        Resource::TaxRule(rule) => edit.put_tax_rule(TaxRule::new(&rule.jurisdiction, &rule.category, rule.rate_ppm)?),
        Resource::Promotion(promotion) => edit.put_promotion(self::promotion(promotion)?),
    }
    Ok(())
}

/// Removes the resource from the snapshot under construction.
pub(crate) fn remove(edit: &mut Edit, key: &ResourceKey) {
    match key.r#type() {
        ResourceType::Item => edit.remove_item(&key.name),
        ResourceType::TaxRule => {
            if let Some((jurisdiction, category)) = key.name.split_once('/') {
                edit.remove_tax_rule(jurisdiction, category);
            }
        }
        ResourceType::Promotion => edit.remove_promotion(&key.name),
        ResourceType::Unspecified => {}
    }
}

fn item(item: &catalog::Item) -> Result<Item, Invalid> {
    let (currency, price) =
        item.unit_price.as_ref().map_or(("", 0), |price| (price.currency_code.as_str(), price.minor_units));
    Item::new(&item.sku, currency, price, &item.tax_category)
}

fn promotion(promotion: &catalog::Promotion) -> Result<Promotion, Invalid> {
    let (currency, budget_minor) =
        promotion.budget.as_ref().map_or(("", 0), |budget| (budget.currency_code.as_str(), budget.minor_units));
    let instant = |at: &prost_types::Timestamp| Instant { seconds: at.seconds, nanos: at.nanos };
    Promotion::new(&PromotionTerms {
        promotion_id: &promotion.promotion_id,
        created_version: promotion.created_version,
        discount: promotion.discount.as_ref().map(|discount| match discount {
            catalog::promotion::Discount::PercentOffPpm(ppm) => Discount::PercentOffPpm(*ppm),
            catalog::promotion::Discount::AmountOffMinor(amount) => Discount::AmountOffMinor(*amount),
        }),
        skus: &promotion.skus,
        coupon: &promotion.coupon,
        min_quantity: promotion.min_quantity,
        starts_at: promotion.starts_at.as_ref().map(instant),
        ends_at: promotion.ends_at.as_ref().map(instant),
        currency,
        budget_minor,
        exhausted: promotion.exhausted,
    })
}
