//! What goes over the wire: messages, clients and servers generated from the protos, under their package names; and the
//! headers of events.
#![allow(missing_docs, unreachable_pub, clippy::all)]

mod cloud_event;

pub use cloud_event::CloudEvent;

tonic::include_proto!("contracts");
