//! Compiles the schema in `proto/` without an installed `protoc`.

use std::error::Error;
use std::path::{Path, PathBuf};

const ROOT: &str = "proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={ROOT}");
    let mut files = Vec::new();
    collect(Path::new(ROOT), &mut files)?;
    // The order of generated items follows the order of files: keep it independent of the file system.
    files.sort();

    let mut config = tonic_prost_build::Config::new();
    // Full names let `Any` values, such as gRPC error details, be matched and unpacked by type.
    config.enable_type_names();

    let descriptors = protox::compile(&files, [ROOT])?;
    tonic_prost_build::configure()
        // Maps in key order, so that one message always has one encoding.
        .btree_map(".")
        // Clients are made from a channel: the generated `connect` would clash with the method of
        // `protos.Chaincode` that has the same name.
        .build_transport(false)
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
