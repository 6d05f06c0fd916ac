//! What a process was started from.

use std::fs::File;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{ProcessError, Service};
use crate::files::FileError;

/// SHA-256 over everything that makes a restart necessary when it changes.
pub(super) fn of(service: &Service) -> Result<String, ProcessError> {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(service.program.as_os_str().as_encoded_bytes());
    for arg in &service.args {
        part(arg.as_encoded_bytes());
    }
    part(b"environment");
    for (name, value) in &service.env {
        part(name.as_bytes());
        part(value.as_encoded_bytes());
    }
    part(b"files");
    part(&digest_of(&service.program).map_err(|source| ProcessError::Start {
        name: service.name.clone(),
        program: service.program.clone(),
        source,
    })?);
    for path in &service.reads {
        part(&digest_of(path).map_err(|e| FileError::new(path, "read", e))?);
    }
    Ok(hex::encode(hash.finalize()))
}

fn digest_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut hash = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = std::io::Read::read(&mut file, &mut buffer)?;
        match buffer.get(..read) {
            None | Some([]) => return Ok(hash.finalize().to_vec()),
            Some(bytes) => hash.update(bytes),
        }
    }
}
