//! What goes over the wire: messages, clients and servers generated from the protos, under their package names; and the
//! headers and ids of events.
#![allow(missing_docs, unreachable_pub, clippy::all)]

mod cloud_event;
mod id;

pub use cloud_event::CloudEvent;
pub use id::time_ordered_id;

tonic::include_proto!("contracts");
