//! Holds what a quote costs in counts, which no load of the machine moves, against the limits in tests/Latency/budgets.json.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod counted;

use counted::{allocations, instructions};
use harness::{budget, counts_are_asked_for, counts_hold};

const NAME: &str = "a_quote_costs_no_more_than_its_budgets";
const COUNTED: usize = 4_800;
/// Lines of a quote that must break the budget, or the budget would hold nothing.
const TOO_MANY: usize = 20;
/// The deliberate slowdown, by which tests/Latency breaks the budget of a quote's latency: a quote that waits is one task more,
/// which the counts must show as well.
const SLOWED: [(&str, &str); 1] = [("QUOTE_DELAY_US", "500")];

async fn check() {
    let few = instructions(COUNTED, 1, &[]).await;
    let many = instructions(COUNTED, TOO_MANY, &[]).await;
    let slowed = instructions(COUNTED, 1, &SLOWED).await;
    let allocated = allocations(COUNTED).await;
    println!(
        "{few:.0} instructions, {allocated:.1} allocations; of {TOO_MANY} lines {many:.0}, delayed {slowed:.0} instructions"
    );
    let (most, most_allocated) = (budget("quote-instructions"), budget("quote-allocations"));
    assert!(few <= most, "a quote takes {few:.0} instructions where {most} are allowed");
    assert!(allocated <= most_allocated, "a quote makes {allocated:.1} allocations where {most_allocated} are allowed");
    assert!(many > most, "a quote of {TOO_MANY} lines takes {many:.0} instructions, which the limit of {most} allows");
    assert!(slowed > most, "a delayed quote takes {slowed:.0} instructions, which the limit of {most} allows");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if counts_are_asked_for(NAME) {
        check().await;
        counts_hold(NAME);
    }
}
