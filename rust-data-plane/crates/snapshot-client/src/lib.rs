//! Keeps the newest snapshot of the catalog, even while the control plane is away.
//!
//! One task holds the stream, prepares each state apart from the quotes, and publishes it by one pointer swap. The last good
//! state lies on disk, so a node starts without the control plane; it then says that it is stale, and how old.

mod client;
mod convert;
mod digest;
mod disk;
#[cfg(test)]
mod fuzz;
mod heard;
mod incoming;
mod outbox;
mod saver;
mod state;
mod status;

pub use backoff::Backoff;
pub use client::{Client, Node};
pub use digest::Digest;
pub use disk::{Saved, Store, StoreError};
pub use state::{ApplyError, State};
pub use status::{Published, Snapshots};
