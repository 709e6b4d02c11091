//! Finds librdkafka: in `RDKAFKA_LIB_DIR` where that is set, else by pkg-config.

use std::env;
use std::path::Path;

/// The first version with all that is used.
const NEEDED: &str = "2.3";

fn main() {
    println!("cargo::rerun-if-env-changed=RDKAFKA_LIB_DIR");
    println!("cargo::rerun-if-changed=build.rs");
    if let Some(dir) = env::var("RDKAFKA_LIB_DIR").ok().filter(|dir| !dir.is_empty()) {
        if !["librdkafka.so", "librdkafka.dylib"].iter().any(|name| Path::new(&dir).join(name).exists()) {
            println!("cargo::error=there is no librdkafka in RDKAFKA_LIB_DIR ({dir})");
            return;
        }
        println!("cargo::rustc-link-search=native={dir}");
        println!("cargo::rustc-link-lib=dylib=rdkafka");
        println!("cargo::rustc-link-arg=-Wl,-rpath,{dir}");
        // Reaches the build scripts of the binaries as DEP_RDKAFKA_RPATH.
        println!("cargo::metadata=rpath={dir}");
        return;
    }
    let found = pkg_config::Config::new().cargo_metadata(false).probe("rdkafka");
    let usable = pkg_config::Config::new().atleast_version(NEEDED).probe("rdkafka");
    let remedy = "install a newer one with its headers, or set RDKAFKA_LIB_DIR to the folder of one";
    match (found, usable) {
        (_, Ok(_)) => {}
        (Ok(old), Err(_)) => {
            println!("cargo::error=librdkafka {NEEDED} or newer is needed, and {} was found: {remedy}", old.version);
        }
        (Err(_), Err(_)) => {
            println!("cargo::error=librdkafka {NEEDED} or newer is needed, and none was found: {remedy}")
        }
    }
}
