use std::io::{Cursor, Read, Seek, SeekFrom};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caretrail_model::hash::sha256;
use caretrail_model::ids::{Digest, RecordId};
use caretrail_model::limits::{DOCUMENT_BYTES_MAX, SEALED_BYTES_MAX};
use caretrail_model::record::Commitments;
use serde::Deserialize;

use super::format::{CHUNK_BYTES, HEADER_BYTES, Header, TAG_BYTES};
use super::sealing::seal_with;
use super::*;
use crate::VersionId;
use crate::document::Document;
use crate::secret::VersionSecret;

const ID: VersionId = VersionId { record: RecordId::from_bytes([1; 16]), version: 1 };

fn document(content: Vec<u8>) -> Document {
    Document::from_bytes(content, "application/octet-stream".parse().unwrap()).unwrap()
}

fn patterned(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| ((31 * at + at / 251) % 256) as u8).collect()
}

fn sealed(content: &[u8]) -> (Vec<u8>, Sealed) {
    let mut blob = Vec::new();
    let sealed = seal(&mut document(content.to_vec()), &ID, &mut blob).unwrap();
    (blob, sealed)
}

/// Opens in a folder of its own, and checks that a failure leaves nothing there.
fn opened(
    blob: &[u8],
    secret: &VersionSecret,
    id: &VersionId,
    commitments: &Commitments,
) -> Result<Vec<u8>, Misfit> {
    let folder = tempfile::tempdir().unwrap();
    match open(blob, secret, id, commitments, folder.path()) {
        Ok(opened) => {
            let mut content = Vec::new();
            opened.reader().unwrap().read_to_end(&mut content).unwrap();
            assert_eq!(opened.document_bytes, content.len() as u64);
            Ok(content)
        }
        Err(OpenError::Mismatch(misfit)) => {
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
            Err(misfit)
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn documents_around_every_boundary_open_again() {
    let chunk = CHUNK_BYTES as usize;
    // Where the content, with its preamble of 34 bytes, fills a size class or a chunk exactly.
    let edges = [4096 - 34, chunk - 34, 2 * chunk - 34];
    let around = edges.into_iter().flat_map(|edge| [edge - 1, edge, edge + 1]);
    for bytes in [1, 2, 4096].into_iter().chain(around).chain([chunk, chunk + 1]) {
        let content = patterned(bytes);
        let (blob, sealed) = sealed(&content);
        assert_eq!(sealed.commitments.sealed_bytes, blob.len() as u64);
        assert_eq!(sealed.commitments.blob_digest, sha256(&blob));
        assert_eq!(opened(&blob, &sealed.secret, &ID, &sealed.commitments), Ok(content), "{bytes} bytes");
    }
}

#[test]
fn sealing_twice_shares_nothing() {
    let (first, second) = (sealed(b"the same"), sealed(b"the same"));
    assert_ne!(first.1.secret.as_bytes(), second.1.secret.as_bytes());
    assert_ne!(first.1.commitments.content_commitment, second.1.commitments.content_commitment);
    assert_ne!(first.1.commitments.blob_digest, second.1.commitments.blob_digest);
    assert_eq!(first.0.len(), second.0.len());
    assert_eq!(first.0.len(), sealed(b"another one, and longer").0.len(), "both are of one size class");
}

#[test]
fn every_flipped_byte_is_named() {
    let (blob, Sealed { secret, commitments }) = sealed(&patterned(600_000));
    let sealed_chunk = CHUNK_BYTES as usize + TAG_BYTES;
    let chunks = (blob.len() - HEADER_BYTES).div_ceil(sealed_chunk) as u32;
    assert_eq!(chunks, 3);
    let body = (HEADER_BYTES..blob.len()).step_by(9_973).chain([blob.len() - 1]);
    for at in (0..HEADER_BYTES).chain(body) {
        let mut spoiled = blob.clone();
        spoiled[at] ^= 0x20;
        let place = match at {
            // A chunk size or prefix that is another one still parses: the chunks tell.
            0..9 => Place::Header,
            9..HEADER_BYTES => match opened(&spoiled, &secret, &ID, &commitments) {
                Err(Misfit::BlobDigest {
                    place: place @ (Place::Header | Place::Chunk { number: 1, .. }),
                }) => place,
                other => panic!("byte {at}: {other:?}"),
            },
            _ => Place::Chunk { number: 1 + ((at - HEADER_BYTES) / sealed_chunk) as u32, chunks },
        };
        assert_eq!(
            opened(&spoiled, &secret, &ID, &commitments),
            Err(Misfit::BlobDigest { place }),
            "byte {at}"
        );
    }
}

#[test]
fn a_blob_that_is_cut_off_or_longer_is_named() {
    let (blob, Sealed { secret, commitments }) = sealed(&patterned(600_000));
    let expected = blob.len() as u64;
    let sealed_chunk = CHUNK_BYTES as usize + TAG_BYTES;
    for cut in [0, 1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + sealed_chunk, blob.len() - 1] {
        assert_eq!(
            opened(&blob[..cut], &secret, &ID, &commitments),
            Err(Misfit::Truncated { expected, found: cut as u64 }),
            "{cut} bytes"
        );
    }
    let longer = [blob.as_slice(), b"x"].concat();
    assert_eq!(opened(&longer, &secret, &ID, &commitments), Err(Misfit::TooLong { expected }));
}

#[test]
fn chunks_cannot_change_their_order() {
    let (blob, Sealed { secret, commitments }) = sealed(&patterned(600_000));
    let sealed_chunk = CHUNK_BYTES as usize + TAG_BYTES;
    let (header, chunks) = blob.split_at(HEADER_BYTES);
    let (first, rest) = chunks.split_at(sealed_chunk);
    let (second, rest) = rest.split_at(sealed_chunk);
    let swapped = [header, second, first, rest].concat();
    let held = Commitments { blob_digest: sha256(&swapped), ..commitments.clone() };
    assert_eq!(
        opened(&swapped, &secret, &ID, &held),
        Err(Misfit::Chunk { number: 1, chunks: 3 }),
        "even if the channel held this digest"
    );

    // Cut after a whole chunk, the last one that is left has no last flag.
    let cut = [header, first, second].concat();
    let held = Commitments { blob_digest: sha256(&cut), sealed_bytes: cut.len() as u64, ..commitments };
    assert_eq!(opened(&cut, &secret, &ID, &held), Err(Misfit::Chunk { number: 2, chunks: 2 }));
}

#[test]
fn a_secret_opens_its_own_version_alone() {
    let (blob, Sealed { secret, commitments }) = sealed(b"flu");
    let other = VersionSecret::random().unwrap();
    let misfit = Misfit::Chunk { number: 1, chunks: 1 };
    assert_eq!(opened(&blob, &other, &ID, &commitments), Err(misfit.clone()));
    let next = VersionId { version: 2, ..ID };
    assert_eq!(opened(&blob, &secret, &next, &commitments), Err(misfit.clone()));
    let elsewhere = VersionId { record: RecordId::from_bytes([2; 16]), ..ID };
    assert_eq!(opened(&blob, &secret, &elsewhere, &commitments), Err(misfit));
}

#[test]
fn another_document_under_the_same_secret_is_not_the_committed_one() {
    let secret = VersionSecret::random().unwrap();
    let header = Header { chunk_bytes: CHUNK_BYTES, nonce_prefix: [0; 7] };
    let mut blob = Vec::new();
    let commitments = seal_with(&mut document(b"cold".to_vec()), &ID, &secret, header, &mut blob).unwrap();
    let committed = sealed(b"flu").1.commitments;
    let held = Commitments { content_commitment: committed.content_commitment, ..commitments };
    assert_eq!(opened(&blob, &secret, &ID, &held), Err(Misfit::ContentCommitment));
    let held = Commitments { blob_digest: committed.blob_digest, ..held };
    assert_eq!(opened(&blob, &secret, &ID, &held), Err(Misfit::BlobDigest { place: Place::Nowhere }));
}

#[test]
fn a_document_that_changes_while_it_is_sealed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan.pdf");
    for (now, found) in [(5, 5), (7, 7), (20, 7)] {
        std::fs::write(&path, b"123456").unwrap();
        let mut document = Document::open(&path, None).unwrap();
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(now).unwrap();
        let outcome = seal(&mut document, &ID, Vec::new());
        assert!(
            matches!(outcome, Err(SealError::LengthChanged { expected: 6, found: counted }) if counted == found),
            "{now}: {outcome:?}"
        );
    }
}

#[test]
fn an_opened_document_is_saved_once_and_privately() {
    use std::os::unix::fs::PermissionsExt as _;

    let (blob, Sealed { secret, commitments }) = sealed(b"flu");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.json");
    let open_again = || open(blob.as_slice(), &secret, &ID, &commitments, folder.path()).unwrap();
    open_again().save(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"flu");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(open_again().save(&path), Err(OpenError::Exists { .. })));
    let unsaved = open_again();
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files(), 1, "nothing has a name that a process that is killed now would leave");
    drop(unsaved);
    assert_eq!(files(), 1);
}

#[test]
fn the_longest_document_opens_again_and_a_full_disk_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan.dcm");
    let mut file = std::fs::File::create_new(&path).unwrap();
    file.set_len(DOCUMENT_BYTES_MAX).unwrap();
    file.seek(SeekFrom::End(-1)).unwrap();
    std::io::Write::write_all(&mut file, b"!").unwrap();

    let blob = folder.path().join("blob");
    let sealed =
        seal(&mut Document::open(&path, None).unwrap(), &ID, std::fs::File::create_new(&blob).unwrap())
            .unwrap();
    assert!(sealed.commitments.sealed_bytes <= SEALED_BYTES_MAX);
    let opened =
        open(std::fs::File::open(&blob).unwrap(), &sealed.secret, &ID, &sealed.commitments, folder.path())
            .unwrap();
    assert_eq!(opened.document_bytes, DOCUMENT_BYTES_MAX);
    assert_eq!(opened.media_type.as_str(), "application/dicom");
    let mut reader = opened.reader().unwrap();
    reader.seek(SeekFrom::End(-2)).unwrap();
    let mut end = Vec::new();
    reader.read_to_end(&mut end).unwrap();
    assert_eq!(end, b"\0!");

    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let outcome = seal(&mut Document::open(&path, None).unwrap(), &ID, full);
    assert!(matches!(outcome, Err(SealError::Write(_))), "{outcome:?}");
}

proptest::proptest! {
    #[test]
    fn what_is_no_blob_is_a_misfit_and_nothing_else(
        mut blob in proptest::collection::vec(proptest::num::u8::ANY, 0..3000),
        header in proptest::bool::ANY,
        claimed in 0_u64..4000,
    ) {
        if header && blob.len() >= HEADER_BYTES {
            blob[..HEADER_BYTES].copy_from_slice(&Header { chunk_bytes: 1 << 16, nonce_prefix: [0; 7] }.to_bytes());
        }
        let secret = VersionSecret::from_bytes(&[7; 32]);
        for sealed_bytes in [blob.len() as u64, claimed] {
            let commitments = Commitments {
                content_commitment: Digest::from_bytes([0; 32]),
                blob_digest: sha256(&blob),
                sealed_bytes,
            };
            proptest::prop_assert!(opened(&blob, &secret, &ID, &commitments).is_err());
        }
    }

    #[test]
    fn contents_that_no_sealing_makes_are_refused(content in proptest::collection::vec(proptest::num::u8::ANY, 1..5000)) {
        let secret = VersionSecret::from_bytes(&[7; 32]);
        let header = Header { chunk_bytes: 1 << 16, nonce_prefix: [0; 7] };
        let mut chunk = content;
        let tag = super::format::ChunkCipher::new(&secret.data_key(&ID), header).seal(0, true, &mut chunk).unwrap();
        let blob = [header.to_bytes().as_slice(), &chunk, &tag].concat();
        let commitments = Commitments {
            content_commitment: Digest::from_bytes([0; 32]),
            blob_digest: sha256(&blob),
            sealed_bytes: blob.len() as u64,
        };
        let misfit = opened(&blob, &secret, &ID, &commitments).unwrap_err();
        proptest::prop_assert!(matches!(misfit, Misfit::Inside { .. }), "{misfit:?}");
    }
}

#[derive(Deserialize)]
struct Vectors {
    secret: String,
    record: RecordId,
    version: u64,
    nonce_prefix: String,
    chunk_bytes: u32,
    small: Vector,
    long: Vector,
}

#[derive(Deserialize)]
struct Vector {
    media_type: String,
    document: String,
    content_commitment: Digest,
    blob_digest: Digest,
    sealed_bytes: u64,
    blob: Option<String>,
    header: Option<String>,
    last_64_bytes: Option<String>,
}

#[test]
fn blobs_are_those_of_another_implementation() {
    let vectors: Vectors =
        serde_json::from_str(include_str!("../../../../chaincode/model/vectors/sealed_blob.json")).unwrap();
    let secret = VersionSecret::from_bytes(&hex::decode(&vectors.secret).unwrap().try_into().unwrap());
    let id = VersionId { record: vectors.record, version: vectors.version };
    let nonce_prefix = hex::decode(&vectors.nonce_prefix).unwrap().try_into().unwrap();
    let header = Header { chunk_bytes: vectors.chunk_bytes, nonce_prefix };
    let cases =
        [(&vectors.small, vectors.small.document.clone().into_bytes()), (&vectors.long, patterned(200_000))];
    for (vector, content) in cases {
        let media_type = vector.media_type.parse().unwrap();
        let mut document = Document::from_bytes(content.clone(), media_type).unwrap();
        let mut blob = Cursor::new(Vec::new());
        let commitments = seal_with(&mut document, &id, &secret, header, &mut blob).unwrap();
        let blob = blob.into_inner();
        let expected = Commitments {
            content_commitment: vector.content_commitment,
            blob_digest: vector.blob_digest,
            sealed_bytes: vector.sealed_bytes,
        };
        assert_eq!(commitments, expected);
        if let Some(expected) = &vector.blob {
            assert_eq!(&URL_SAFE_NO_PAD.encode(&blob), expected);
        }
        if let (Some(header), Some(end)) = (&vector.header, &vector.last_64_bytes) {
            assert_eq!(&hex::encode(&blob[..HEADER_BYTES]), header);
            assert_eq!(&hex::encode(&blob[blob.len() - 64..]), end);
        }
        assert_eq!(opened(&blob, &secret, &id, &commitments), Ok(content));
    }
}
