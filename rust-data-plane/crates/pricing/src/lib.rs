//! What a basket costs under one snapshot of the catalog.
//!
//! Pure: no I/O, no clock, no transport. The rules stand in `hybrid/pricing/v1/pricing.proto`; all arithmetic is exact, in
//! integers, and a result that does not fit is an error, never a wrap.

mod error;
mod item;
pub mod money;
mod names;
mod promotion;
mod quote;
mod snapshot;
mod table;
mod tax;
mod time;

pub use error::{Code, Invalid, QuoteError};
pub use item::{Item, MAX_PRICE_MINOR};
pub use names::{Currency, is_key};
pub use promotion::{Discount, Promotion, PromotionTerms};
pub use quote::{PricedLine, Quote, Request, Totals, quote};
pub use snapshot::{Edit, Snapshot};
pub use tax::TaxRule;
pub use time::Instant;
