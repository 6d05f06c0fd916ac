//! A vault whose disk takes no more bytes, made by the operating system's own limit on the length of files.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use caretrail_model::hash::sha256;
use caretrail_model::ids::RecordId;
use caretrail_model::record::Commitments;
use caretrail_records::VersionId;
use caretrail_records::document::Document;
use caretrail_records::seal::{OpenError, SealError, open, seal};
use caretrail_records::secret::VersionSecret;
use caretrail_records::vault::{FolderVault, Vault as _};

const FOLDER: &str = "CARETRAIL_TEST_FOLDER";
const ID: VersionId = VersionId { record: RecordId::from_bytes([1; 16]), version: 1 };

/// Runs itself again in a process that cannot write files of more than 512 KiB, with the signal ignored that
/// would end it, so that writing fails as on a full disk.
#[test]
fn a_blob_that_does_not_fit_is_not_there_at_all() {
    if let Ok(folder) = std::env::var(FOLDER) {
        return within_the_limit(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let vault = FolderVault::open(folder.path().join("vault")).unwrap();
    let mut blob = vault.stage().unwrap();
    let sealed = seal(&mut document(2 * 1024 * 1024), &ID, &mut blob).unwrap();
    blob.keep(&sealed.commitments.blob_digest).unwrap();
    fs::write(folder.path().join("secret"), sealed.secret.as_bytes()).unwrap();
    fs::write(folder.path().join("commitments"), serde_json::to_vec(&sealed.commitments).unwrap()).unwrap();

    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_blob_that_does_not_fit_is_not_there_at_all", "--nocapture"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"));

    let folders: Vec<_> =
        fs::read_dir(folder.path().join("vault")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let files: usize = folders.iter().map(|folder| fs::read_dir(folder).unwrap().count()).sum();
    assert_eq!(files, 2, "the blob from before the limit and the small one from within it");
    let blob = vault.open(&sealed.commitments.blob_digest, 0).unwrap();
    let opened = open(blob.content, &sealed.secret, &ID, &sealed.commitments, folder.path()).unwrap();
    let refused = opened.save(&folder.path().join("vault")).unwrap_err();
    assert!(matches!(refused, OpenError::Exists { .. }), "{refused}");
}

fn within_the_limit(folder: &Path) {
    let vault = FolderVault::open(folder.join("vault")).unwrap();
    let mut blob = vault.stage().unwrap();
    let error = seal(&mut document(2 * 1024 * 1024), &ID, &mut blob).unwrap_err();
    let SealError::Write(source) = &error else { panic!("{error}") };
    assert_eq!(source.kind(), std::io::ErrorKind::FileTooLarge);
    assert!(error.to_string().contains("free space"));
    drop(blob);
    assert_eq!(fs::read_dir(folder.join("vault/staging")).unwrap().count(), 0);

    let mut small = vault.stage().unwrap();
    small.write_all(b"small").unwrap();
    small.keep(&sha256(b"small")).unwrap();

    // A document that opens to more than fits leaves nothing either.
    let secret = VersionSecret::from_bytes(&fs::read(folder.join("secret")).unwrap().try_into().unwrap());
    let commitments: Commitments =
        serde_json::from_slice(&fs::read(folder.join("commitments")).unwrap()).unwrap();
    let blob = vault.open(&commitments.blob_digest, 0).unwrap();
    let downloads = folder.join("downloads");
    fs::create_dir(&downloads).unwrap();
    let error = open(blob.content, &secret, &ID, &commitments, &downloads).unwrap_err();
    assert!(matches!(error, OpenError::Write { .. }), "{error}");
    assert_eq!(fs::read_dir(&downloads).unwrap().count(), 0);
}

fn document(bytes: usize) -> Document {
    Document::from_bytes(vec![b'x'; bytes], "text/plain".parse().unwrap()).unwrap()
}
