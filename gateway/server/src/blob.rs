//! The sealed blob of a release, as a resumable stream.

use std::io::{self, Read, Take};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::{Extension, response};
use bytes::Bytes;
use caretrail_model::ids::{RecordId, TxId};
use caretrail_records::Failure;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::answer::Refused;
use crate::checks::Refusal;
use crate::release::{Asker, Daemon, now};

/// Bytes that are read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that are read ahead of the network.
const PIECES_AHEAD: usize = 4;

/// `GET /v1/releases/{decision}/{record}/blob`.
pub(crate) async fn blob(
    State(daemon): State<Arc<Daemon>>,
    Extension(asker): Extension<Asker>,
    Path((decision, record)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<response::Response, Refused> {
    let malformed = "name the decision's transaction id and the record id in lower-case hex";
    let hospitals = daemon.hospitals(&asker)?;
    let decision: TxId = decision.parse().map_err(|_| Refused::malformed(malformed))?;
    let record: RecordId = record.parse().map_err(|_| Refused::malformed(malformed))?;

    let (store, vault) = (Arc::clone(&daemon.custody.store), Arc::clone(&daemon.custody.vault));
    let release = blocking(move || store.release(&decision, &record)).await??;
    // One answer for a release that is not there and for one of another hospital.
    let release = release.filter(|release| hospitals.contains(&release.recipient_msp)).ok_or_else(|| {
        let fix = "ask for the release first, from the hospital that requested access";
        Refused::new(StatusCode::NOT_FOUND, Failure::new("RELEASE_UNKNOWN", "blob", fix))
    })?;
    // A download that was begun in time may go on for a while, in as many parts as it takes.
    let resume_ms = u64::try_from(daemon.limits.resume.as_millis()).unwrap_or(u64::MAX);
    if now().get() >= release.valid_until.get().saturating_add(resume_ms) {
        return Err(Refusal::PermitExpired.into());
    }
    let digest = release.blob_digest;
    let etag = format!("\"{digest}\"");

    let whole = {
        let vault = Arc::clone(&vault);
        blocking(move || vault.open(&digest, 0)).await??
    };
    let bytes = whole.bytes;
    let applies = headers.get(IF_RANGE).is_none_or(|condition| condition.as_bytes() == etag.as_bytes());
    let range = headers
        .get(RANGE)
        .filter(|_| applies)
        .and_then(|range| range.to_str().ok())
        .map_or(Asked::Whole, |range| Asked::parse(range, bytes));

    let answer = Response::builder()
        .header(ETAG, &etag)
        .header(ACCEPT_RANGES, "bytes")
        .header(CONTENT_TYPE, "application/octet-stream");
    let answer = match range {
        Asked::Whole => answer.header(CONTENT_LENGTH, bytes).body(stream(whole.content, bytes)),
        Asked::Part { first, last } => {
            let part = blocking(move || vault.open(&digest, first)).await??;
            let count = last - first + 1;
            answer
                .status(StatusCode::PARTIAL_CONTENT)
                .header(CONTENT_RANGE, format!("bytes {first}-{last}/{bytes}"))
                .header(CONTENT_LENGTH, count)
                .body(stream(part.content, count))
        }
        Asked::Nothing => answer
            .status(StatusCode::RANGE_NOT_SATISFIABLE)
            .header(CONTENT_RANGE, format!("bytes */{bytes}"))
            .body(Body::empty()),
    };
    answer.map_err(|error| Refused::internal("ANSWER_UNWRITABLE", "report this to the custodian", &error))
}

/// The part of a blob that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    Part { first: u64, last: u64 },
    Nothing,
}

impl Asked {
    /// Reads a `Range` header (RFC 9110, 14.2). One that this server does not understand is ignored, as the
    /// RFC wants it; so is one of several ranges.
    fn parse(range: &str, bytes: u64) -> Self {
        let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
            return Self::Whole;
        };
        let end = bytes.saturating_sub(1);
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last && first < bytes => {
                Self::Part { first, last: last.min(end) }
            }
            (Some(first), Some(last)) if first > last => Self::Whole,
            (Some(first), None) if last.is_empty() && first < bytes => Self::Part { first, last: end },
            (Some(_), Some(_)) => Self::Nothing,
            (Some(_), None) if last.is_empty() => Self::Nothing,
            (None, Some(0)) if first.is_empty() => Self::Nothing,
            (None, Some(suffix)) if first.is_empty() && bytes > 0 => {
                Self::Part { first: bytes.saturating_sub(suffix), last: end }
            }
            _ => Self::Whole,
        }
    }
}

/// Digits alone: `parse` would take a sign too.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Reads a few pieces ahead, each on a thread that may block, so that a silent connection holds none; a
/// reader that fails breaks the connection, so that the other side sees that something is missing.
fn stream(content: Box<dyn Read + Send>, count: u64) -> Body {
    let (pieces, receiver) = mpsc::channel(PIECES_AHEAD);
    tokio::spawn(async move {
        let mut content = content.take(count);
        loop {
            let read = tokio::task::spawn_blocking(move || (next_piece(&mut content), content)).await;
            let Ok((piece, rest)) = read else { return };
            content = rest;
            let ended = !matches!(piece, Ok(Some(_)));
            let Some(piece) = piece.transpose() else { return };
            // The receiver is gone when the other side hung up, or stalled for so long that it was given up.
            if pieces.send(piece).await.is_err() || ended {
                return;
            }
        }
    });
    Body::from_stream(ReceiverStream::new(receiver))
}

/// The next piece; nothing at the end.
fn next_piece(content: &mut Take<Box<dyn Read + Send>>) -> io::Result<Option<Bytes>> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match content.read(&mut piece) {
            Ok(0) if content.limit() > 0 => {
                return Err(io::Error::other("the blob is shorter than it was when it was opened"));
            }
            Ok(0) => return Ok(None),
            Ok(count) => {
                piece.truncate(count);
                return Ok(Some(Bytes::from(piece)));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Runs work on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refused> {
    tokio::task::spawn_blocking(work).await.map_err(|_| caretrail_records::Stopped.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let cases = [
            ("bytes=0-", Asked::Part { first: 0, last: 9 }),
            ("bytes=3-", Asked::Part { first: 3, last: 9 }),
            ("bytes=3-5", Asked::Part { first: 3, last: 5 }),
            ("bytes=3-99", Asked::Part { first: 3, last: 9 }),
            ("bytes=9-9", Asked::Part { first: 9, last: 9 }),
            ("bytes=-4", Asked::Part { first: 6, last: 9 }),
            ("bytes=-99", Asked::Part { first: 0, last: 9 }),
            ("bytes=10-", Asked::Nothing),
            ("bytes=10-12", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=5-3", Asked::Whole),
            ("bytes=1-2,4-5", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=99999999999999999999-", Asked::Whole),
            ("lines=1-2", Asked::Whole),
            ("", Asked::Whole),
        ];
        for (range, asked) in cases {
            assert_eq!(Asked::parse(range, 10), asked, "{range}");
        }
        assert_eq!(Asked::parse("bytes=0-", 0), Asked::Nothing);
    }
}
