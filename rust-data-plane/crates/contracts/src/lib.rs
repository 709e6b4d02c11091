//! What goes over the wire: messages, clients and servers generated from the protos, under their package names.
#![allow(missing_docs, unreachable_pub, clippy::all)]

tonic::include_proto!("contracts");
