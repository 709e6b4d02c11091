//! A safe binding over librdkafka, in the shape of the `rdkafka` crate: the same names, so that either can stand in for the
//! other with few changes. It covers what these services use.
//!
//! This is the only crate with `unsafe`: every pointer that librdkafka hands out is owned by one value here, or borrowed
//! from one with a lifetime.

pub mod admin;
mod client;
pub mod config;
pub mod consumer;
pub mod counting;
pub mod error;
mod ffi;
pub mod message;
pub mod mocking;
pub mod producer;
mod topic_partition_list;

pub use client::{ClientContext, DefaultClientContext};
pub use config::ClientConfig;
pub use message::Message;
pub use topic_partition_list::{Offset, TopicPartition, TopicPartitionList};
