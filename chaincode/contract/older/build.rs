//! Compiles the contract without its second engine.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cfg=first_engine_only");
}
