//! A safe binding over librdkafka, in the shape of the `rdkafka` crate: the same names, so that either can stand in for the
//! other with few changes. It covers what these services use.
//!
//! This is the only crate with `unsafe`: every pointer that librdkafka hands out is owned by one value here, or borrowed
//! from one with a lifetime.

pub mod admin;
mod client;
pub mod config;
pub mod consumer;
mod context;
pub mod counting;
pub mod error;
mod ffi;
mod group;
pub mod message;
pub mod mocking;
mod native;
pub mod producer;
mod topic_partition_list;

pub use config::ClientConfig;
pub use context::{ClientContext, DefaultClientContext};
pub use message::Message;
pub use topic_partition_list::{Offset, TopicPartition, TopicPartitionList};
