//! The modules of this crate use each other one way.
#![allow(missing_docs)]

#[test]
fn modules_use_each_other_one_way() {
    harness::modules_use_each_other_one_way(env!("CARGO_MANIFEST_DIR"));
}
