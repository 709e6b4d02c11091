use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// A test of counts by valgrind, as a program that prints what the test harness of Rust would, because that cannot skip a test for
/// what the machine lacks. Returns whether the counts are to be taken; a panic is the failure, and afterwards `counts_hold` is due.
pub fn counts_are_asked_for(name: &str) -> bool {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        println!("{name}: test");
        return false;
    }
    if arguments.iter().any(|argument| !argument.starts_with('-') && !name.contains(argument.as_str())) {
        return false;
    }
    println!("running 1 test");
    if !has_valgrind() {
        println!("test {name} ... ignored, valgrind is needed: it counts instructions");
        return false;
    }
    if cfg!(debug_assertions) {
        println!("test {name} ... ignored, limits are those of an optimised build: --profile fast");
        return false;
    }
    true
}

/// The test has passed.
pub fn counts_hold(name: &str) {
    println!("test {name} ... ok");
}

/// Whether instructions can be counted here.
pub fn has_valgrind() -> bool {
    Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_ok()
}

/// The limit of a count in tests/Latency/budgets.json.
pub fn budget(name: &str) -> f64 {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap().join("../../../tests/Latency/budgets.json");
    let budgets: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let counts = budgets["counts"]["budgets"].as_array().unwrap();
    counts.iter().find(|budget| budget["name"] == name).unwrap()["max"].as_f64().unwrap()
}

/// The number after `label` in valgrind's closing lines.
pub fn number_after(log: &Path, label: &str) -> f64 {
    let text = fs::read_to_string(log).unwrap();
    let (_, rest) = text.split_once(label).expect("valgrind's closing lines");
    let digits: String = rest.trim_start().chars().take_while(|c| c.is_ascii_digit() || *c == ',').collect();
    digits.replace(',', "").parse().unwrap()
}
