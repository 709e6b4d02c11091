use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap};

use crate::item::Item;
use crate::promotion::Promotion;
use crate::table::{Keyed, Table};
use crate::tax::{TaxRule, TaxTable};

/// One state of the catalog, compiled for quotes. Immutable; a copy shares everything with its origin.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    version: i64,
    hasher: DefaultHashBuilder,
    items: Table<Item>,
    taxes: Arc<HashMap<Box<str>, Arc<TaxTable>>>,
    promotions: Table<Promotion>,
    by_sku: Table<SkuPromotions>,
    everywhere: Arc<Vec<Arc<Promotion>>>,
}

/// The promotions that list one sku.
#[derive(Clone, Debug)]
struct SkuPromotions {
    sku: Box<str>,
    promotions: Vec<Arc<Promotion>>,
}

impl Keyed for SkuPromotions {
    fn key(&self) -> &str {
        &self.sku
    }
}

impl Snapshot {
    /// The catalog version that it is.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Number of items.
    pub fn items(&self) -> usize {
        self.items.len()
    }

    /// Number of promotions.
    pub fn promotions(&self) -> usize {
        self.promotions.len()
    }

    /// The next state, to be changed and finished. Costs by what is changed, not by what there is.
    pub fn edit(&self) -> Edit {
        Edit(self.clone())
    }

    /// The same state, under which no promotion is granted. It is for quotes only: later states are made from the original.
    pub fn without_discounts(&self) -> Self {
        Self { by_sku: Table::default(), everywhere: Arc::default(), ..self.clone() }
    }

    /// The item and the promotions that list it, if there is such an item.
    pub(crate) fn item(&self, sku: &str) -> Option<(&Item, &[Arc<Promotion>])> {
        let hash = self.hash(sku);
        let item = self.items.get(hash, sku)?;
        let listed = self.by_sku.get(hash, sku).map_or(&[][..], |entry| &entry.promotions);
        Some((item, listed))
    }

    /// The promotions that list no sku.
    pub(crate) fn everywhere(&self) -> &[Arc<Promotion>] {
        &self.everywhere
    }

    pub(crate) fn taxes(&self, jurisdiction: &str) -> Option<&TaxTable> {
        self.taxes.get(jurisdiction).map(|table| &**table)
    }

    fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }
}

/// A snapshot in the making.
#[derive(Debug)]
pub struct Edit(Snapshot);

impl Edit {
    /// Adds the item, or puts it in the place of the one with its sku.
    pub fn put_item(&mut self, item: Item) {
        let hash = self.0.hash(item.key());
        self.0.items.put(hash, Arc::new(item));
    }

    /// Takes the item out, if it is there.
    pub fn remove_item(&mut self, sku: &str) {
        let hash = self.0.hash(sku);
        self.0.items.remove(hash, sku);
    }

    /// Adds the rule, or puts it in the place of the one with its key.
    pub fn put_tax_rule(&mut self, rule: TaxRule) {
        let table = Arc::make_mut(&mut self.0.taxes).entry(rule.jurisdiction).or_default();
        Arc::make_mut(table).put(rule.category, rule.rate_ppm);
    }

    /// Takes the rule out, if it is there.
    pub fn remove_tax_rule(&mut self, jurisdiction: &str, category: &str) {
        let taxes = Arc::make_mut(&mut self.0.taxes);
        let Some(table) = taxes.get_mut(jurisdiction) else { return };
        Arc::make_mut(table).remove(crate::names::category(category));
        if table.is_empty() {
            taxes.remove(jurisdiction);
        }
    }

    /// Adds the promotion, or puts it in the place of the one with its id.
    pub fn put_promotion(&mut self, promotion: Promotion) {
        let promotion = Arc::new(promotion);
        let hash = self.0.hash(promotion.id());
        if let Some(old) = self.0.promotions.put(hash, Arc::clone(&promotion)) {
            self.unlist(&old);
        }
        self.list(&promotion);
    }

    /// Takes the promotion out, if it is there.
    pub fn remove_promotion(&mut self, promotion_id: &str) {
        let hash = self.0.hash(promotion_id);
        if let Some(old) = self.0.promotions.remove(hash, promotion_id) {
            self.unlist(&old);
        }
    }

    /// The snapshot, as state `version` of the catalog.
    pub fn finish(mut self, version: i64) -> Snapshot {
        self.0.version = version;
        self.0
    }

    fn list(&mut self, promotion: &Arc<Promotion>) {
        if promotion.skus.is_empty() {
            Arc::make_mut(&mut self.0.everywhere).push(Arc::clone(promotion));
        }
        for sku in &promotion.skus {
            let mut promotions = self.listed(sku);
            promotions.push(Arc::clone(promotion));
            self.set_listed(sku, promotions);
        }
    }

    fn unlist(&mut self, promotion: &Arc<Promotion>) {
        if promotion.skus.is_empty() {
            Arc::make_mut(&mut self.0.everywhere).retain(|other| !Arc::ptr_eq(other, promotion));
        }
        for sku in &promotion.skus {
            let mut promotions = self.listed(sku);
            promotions.retain(|other| !Arc::ptr_eq(other, promotion));
            self.set_listed(sku, promotions);
        }
    }

    fn listed(&self, sku: &str) -> Vec<Arc<Promotion>> {
        self.0.by_sku.get(self.0.hash(sku), sku).map_or_else(Vec::new, |entry| entry.promotions.clone())
    }

    fn set_listed(&mut self, sku: &str, promotions: Vec<Arc<Promotion>>) {
        let hash = self.0.hash(sku);
        if promotions.is_empty() {
            self.0.by_sku.remove(hash, sku);
        } else {
            self.0.by_sku.put(hash, Arc::new(SkuPromotions { sku: sku.into(), promotions }));
        }
    }
}
