//! Metering: consumes priced quotes, sums them up in windows of event time, and in one Kafka transaction produces the sums
//! and commits what was consumed. All its state lies in Kafka.

mod batch;
mod commit;
mod config;
mod dead;
mod delay;
mod event;
#[cfg(test)]
mod fuzz;
mod metrics;
mod output;
mod positions;
mod process;
mod quote;
#[cfg(test)]
mod reference;
mod refusals;
mod stop;
mod windows;
mod wire;
mod worker;

pub use config::{Config, PROGRAM};
pub use event::{Poison, Priced, Record, read};
pub use process::Process;
pub use quote::{Line, Name, Quote, Sums};
pub use windows::{WINDOW_SECONDS, Windows};
