//! What goes over the wire: messages, clients and servers generated from the protos, under their package names; and the
//! headers and ids of events; and what readers of their encodings share.
#![allow(missing_docs, unreachable_pub, clippy::all)]

mod cloud_event;
mod id;
mod quote_request;
pub mod wire;

pub use cloud_event::CloudEvent;
pub use id::time_ordered_id;
pub use quote_request::QuoteRequest;

tonic::include_proto!("contracts");
