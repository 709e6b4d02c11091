//! The committed header is what the sources declare.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::{env, fs};

#[test]
fn the_header_is_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).unwrap();
    let mut made = Vec::new();
    cbindgen::Builder::new()
        .with_src(folder.join("src/lib.rs"))
        .with_src(folder.join("src/border.rs"))
        .with_src(folder.join("src/catalog.rs"))
        .with_src(folder.join("src/quote.rs"))
        .with_config(config)
        .generate()
        .unwrap()
        .write(&mut made);
    let (file, made) = (folder.join("include/hybrid_pricing.h"), String::from_utf8(made).unwrap());
    if env::var_os("UPDATE_HEADER").is_some() {
        fs::write(&file, &made).unwrap();
    }
    assert!(
        fs::read_to_string(&file).unwrap_or_default() == made,
        "run this test with UPDATE_HEADER=1, and commit the header"
    );
}
