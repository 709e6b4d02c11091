//! Holds what a quote costs in counts, which no load of the machine moves, against the limits in tests/Latency/budgets.json.
//!
//! It prints what the test harness of Rust would, because that cannot skip a test for what the machine lacks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod counted;

use std::fs;
use std::path::Path;

use counted::{allocations, has_valgrind, instructions};
use serde_json::Value;

const NAME: &str = "a_quote_costs_no_more_than_its_budgets";
const COUNTED: usize = 4_800;
/// Lines of a quote that must break the budget, or the budget would hold nothing.
const TOO_MANY: usize = 20;
/// The deliberate slowdown, by which tests/Latency breaks the budget of a quote's latency: a quote that waits is one task more,
/// which the counts must show as well.
const SLOWED: [(&str, &str); 1] = [("QUOTE_DELAY_US", "500")];

/// The limit of the budget with this name.
fn limit(name: &str) -> f64 {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap().join("../../../tests/Latency/budgets.json");
    let budgets: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let counts = budgets["counts"]["budgets"].as_array().unwrap();
    counts.iter().find(|budget| budget["name"] == name).unwrap()["max"].as_f64().unwrap()
}

async fn check() {
    let few = instructions(COUNTED, 1, &[]).await;
    let many = instructions(COUNTED, TOO_MANY, &[]).await;
    let slowed = instructions(COUNTED, 1, &SLOWED).await;
    let allocated = allocations(COUNTED).await;
    println!(
        "{few:.0} instructions, {allocated:.1} allocations; of {TOO_MANY} lines {many:.0}, delayed {slowed:.0} instructions"
    );
    let (most, most_allocated) = (limit("quote-instructions"), limit("quote-allocations"));
    assert!(few <= most, "a quote takes {few:.0} instructions where {most} are allowed");
    assert!(allocated <= most_allocated, "a quote makes {allocated:.1} allocations where {most_allocated} are allowed");
    assert!(many > most, "a quote of {TOO_MANY} lines takes {many:.0} instructions, which the limit of {most} allows");
    assert!(slowed > most, "a delayed quote takes {slowed:.0} instructions, which the limit of {most} allows");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return println!("{NAME}: test");
    }
    if arguments.iter().any(|argument| !argument.starts_with('-') && !NAME.contains(argument.as_str())) {
        return;
    }
    println!("running 1 test");
    if !has_valgrind() {
        return println!("test {NAME} ... ignored, valgrind is needed: it counts instructions");
    }
    if cfg!(debug_assertions) {
        return println!("test {NAME} ... ignored, the limits are those of an optimised build: --profile fast");
    }
    // A panic ends the process, which is the failure.
    check().await;
    println!("test {NAME} ... ok");
}
