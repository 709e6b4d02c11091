//! Lets the binary find the librdkafka it was linked with.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DEP_RDKAFKA_RPATH");
    if let Ok(dir) = std::env::var("DEP_RDKAFKA_RPATH") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{dir}");
    }
}
