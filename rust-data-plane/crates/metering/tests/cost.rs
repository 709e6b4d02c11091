//! Holds what an event costs in instructions, which no load of the machine moves, against the limit in tests/Latency/budgets.json.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod counted;
mod pipeline;

use counted::instructions;
use harness::{budget, counts_are_asked_for, counts_hold};

const NAME: &str = "an_event_costs_no_more_than_its_budget";
/// Records that are counted.
const COUNTED: i64 = 80;
/// Lines of an event that must break the budget, or the budget would hold nothing.
const TOO_MANY: i64 = 5;

fn check() {
    let (one, many) = (instructions(COUNTED, 1), instructions(COUNTED, TOO_MANY));
    println!("{one:.0} instructions; of {TOO_MANY} lines {many:.0}");
    let most = budget("event-instructions");
    assert!(one <= most, "an event takes {one:.0} instructions where {most} are allowed");
    assert!(many > most, "an event of {TOO_MANY} lines takes {many:.0} instructions, which the limit of {most} allows");
}

fn main() {
    if counts_are_asked_for(NAME) {
        check();
        counts_hold(NAME);
    }
}
