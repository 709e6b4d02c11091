use crate::error::Invalid;
use crate::money::PPM;
use crate::names;

/// The tax rate of one category in one jurisdiction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaxRule {
    pub(crate) jurisdiction: Box<str>,
    pub(crate) category: Box<str>,
    pub(crate) rate_ppm: i64,
}

impl TaxRule {
    /// A rule that can be applied; an empty `category` means "standard".
    pub fn new(jurisdiction: &str, category: &str, rate_ppm: i64) -> Result<Self, Invalid> {
        let category = names::category(category);
        if !names::is_jurisdiction(jurisdiction) {
            return Err(Invalid::new(
                "jurisdiction",
                "JURISDICTION_INVALID",
                "must be 2 to 16 characters of A-Z 0-9 -",
            ));
        }
        if !names::is_category(category) {
            return Err(Invalid::new("category", "TAX_CATEGORY_INVALID", "must be 1 to 32 characters of a-z 0-9 -"));
        }
        if !(0..=PPM).contains(&rate_ppm) {
            return Err(Invalid::new("rate_ppm", "RATE_OUT_OF_RANGE", "must be 0 to 1,000,000 parts per million"));
        }
        Ok(Self { jurisdiction: jurisdiction.into(), category: category.into(), rate_ppm })
    }
}

/// The rates of one jurisdiction, sorted by category.
#[derive(Clone, Debug, Default)]
pub(crate) struct TaxTable(Vec<(Box<str>, i64)>);

impl TaxTable {
    pub(crate) fn rate(&self, category: &str) -> Option<i64> {
        self.find(category).ok().map(|at| self.0[at].1)
    }

    pub(crate) fn put(&mut self, category: Box<str>, rate_ppm: i64) {
        match self.find(&category) {
            Ok(at) => self.0[at].1 = rate_ppm,
            Err(at) => self.0.insert(at, (category, rate_ppm)),
        }
    }

    pub(crate) fn remove(&mut self, category: &str) {
        if let Ok(at) = self.find(category) {
            self.0.remove(at);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, category: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(name, _)| (**name).cmp(category))
    }
}
