//! Finds librdkafka: `RDKAFKA_LIB_DIR`, else pkg-config, else the system's library path.

use std::env;

fn main() {
    println!("cargo:rerun-if-env-changed=RDKAFKA_LIB_DIR");
    println!("cargo:rerun-if-changed=build.rs");
    if let Some(dir) = env::var("RDKAFKA_LIB_DIR").ok().filter(|dir| !dir.is_empty()) {
        println!("cargo:rustc-link-search=native={dir}");
        println!("cargo:rustc-link-lib=dylib=rdkafka");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{dir}");
        // Reaches the build scripts of the binaries as DEP_RDKAFKA_RPATH.
        println!("cargo:rpath={dir}");
    } else if pkg_config::Config::new().atleast_version("2.2").probe("rdkafka").is_err() {
        println!("cargo:rustc-link-lib=dylib=rdkafka");
    }
}
