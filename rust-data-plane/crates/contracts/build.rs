//! Compiles the protos without an installed protoc.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).canonicalize()?;
    let shared = manifest.join("../../../protos").canonicalize()?;
    let own = manifest.join("proto");

    let mut files = Vec::new();
    for folder in [shared.join("hybrid"), shared.join("opentelemetry"), own.clone()] {
        println!("cargo:rerun-if-changed={}", folder.display());
        collect(&folder, &mut files)?;
    }
    files.sort();

    let descriptors = protox::compile(&files, [&shared, &own])?;
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        // Written by hand: it bounds what a request of strangers takes in memory.
        .extern_path(".hybrid.pricing.v1.QuoteRequest", "crate::QuoteRequest")
        .include_file("contracts.rs")
        .compile_fds(descriptors)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
