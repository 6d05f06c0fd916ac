//! A plain document, before it is sealed.

use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use caretrail_model::ids::RecordId;
use caretrail_model::label::Label;
use caretrail_model::limits::DOCUMENT_BYTES_MAX;

use crate::seal::Opened;

/// Longest media type, in bytes.
pub const MEDIA_TYPE_BYTES_MAX: usize = 127;

/// A document's media type, such as `application/fhir+json`; it is sealed with the document, because
/// the kind of a document tells about its patient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType(String);

/// A text that is no media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a media type: expected `type/subtype` of at most {MEDIA_TYPE_BYTES_MAX} printable ASCII characters"
)]
pub struct ParseMediaTypeError;

impl MediaType {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Guesses by a file name's extension; `application/octet-stream` for an unknown one.
    pub fn of_path(path: &Path) -> Self {
        let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
        let text = match extension.as_ref().and_then(|extension| extension.to_str()) {
            Some("json") => "application/fhir+json",
            Some("xml") => "application/fhir+xml",
            Some("pdf") => "application/pdf",
            Some("dcm") => "application/dicom",
            Some("txt") => "text/plain",
            Some("png") => "image/png",
            Some("jpg" | "jpeg") => "image/jpeg",
            Some("tif" | "tiff") => "image/tiff",
            _ => "application/octet-stream",
        };
        Self(text.to_owned())
    }
}

impl FromStr for MediaType {
    type Err = ParseMediaTypeError;

    fn from_str(text: &str) -> Result<Self, ParseMediaTypeError> {
        let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let (kind, subtype) = text.split_once('/').ok_or(ParseMediaTypeError)?;
        if text.len() > MEDIA_TYPE_BYTES_MAX || !printable || kind.is_empty() || subtype.is_empty() {
            return Err(ParseMediaTypeError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A document that is within the limits, ready to be read once.
pub struct Document {
    content: Box<dyn Read + Send>,
    bytes: u64,
    media_type: MediaType,
    labels: Option<Vec<Label>>,
    derived_from: Vec<RecordId>,
}

/// A document that cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The file cannot be read.
    #[error("document `{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// It is a folder or a device.
    #[error("document `{}` is not a regular file", path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// There is nothing in it.
    #[error("the document is empty: name a file with content")]
    Empty,
    /// It is longer than the limit.
    #[error(
        "the document has {bytes} bytes and at most {DOCUMENT_BYTES_MAX} (64 MiB) can be sealed: split it"
    )]
    TooLong {
        /// Its bytes.
        bytes: u64,
    },
}

impl Document {
    /// Opens a file; its media type is guessed by its extension when none is named.
    ///
    /// # Errors
    /// When it is no readable regular file, empty, or longer than 64 MiB.
    pub fn open(path: &Path, media_type: Option<MediaType>) -> Result<Self, DocumentError> {
        let unreadable = |source| DocumentError::Unreadable { path: path.to_owned(), source };
        // Asked before opening: opening a pipe would wait for its writer.
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(DocumentError::NotAFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        let media_type = media_type.unwrap_or_else(|| MediaType::of_path(path));
        Self::new(Box::new(file), bytes, media_type)
    }

    /// Takes a document that is in memory.
    ///
    /// # Errors
    /// When it is empty or longer than 64 MiB.
    pub fn from_bytes(content: Vec<u8>, media_type: MediaType) -> Result<Self, DocumentError> {
        let bytes = content.len() as u64;
        Self::new(Box::new(Cursor::new(content)), bytes, media_type)
    }

    /// Takes a document that was opened from the vault, to be sealed once more.
    ///
    /// # Errors
    /// When its temporary file cannot be read.
    pub(crate) fn from_opened(opened: &Opened) -> Result<Self, DocumentError> {
        let unreadable =
            |source| DocumentError::Unreadable { path: PathBuf::from("the opened document"), source };
        let file = opened.reader().map_err(unreadable)?;
        Self::new(Box::new(file), opened.document_bytes, opened.media_type.clone())
    }

    fn new(content: Box<dyn Read + Send>, bytes: u64, media_type: MediaType) -> Result<Self, DocumentError> {
        match bytes {
            0 => Err(DocumentError::Empty),
            1..=DOCUMENT_BYTES_MAX => {
                Ok(Self { content, bytes, media_type, labels: None, derived_from: Vec::new() })
            }
            _ => Err(DocumentError::TooLong { bytes }),
        }
    }

    /// The same document with these labels, and with no other; none at all says that it is not sensitive. The channel
    /// gets them blinded.
    ///
    /// A document whose labels nobody named is counted as if it carried every label that a denial names, and as none
    /// that a permit names.
    #[must_use]
    pub fn labelled(self, labels: Vec<Label>) -> Self {
        Self { labels: Some(labels), ..self }
    }

    /// The same document, made from these records of the same patient, at most eight.
    #[must_use]
    pub fn derived_from(self, mut records: Vec<RecordId>) -> Self {
        records.sort_unstable();
        records.dedup();
        Self { derived_from: records, ..self }
    }

    /// Its labels; nothing when nobody named them.
    pub fn labels(&self) -> Option<&[Label]> {
        self.labels.as_deref()
    }

    /// The records that it was made from, ascending.
    pub fn sources(&self) -> &[RecordId] {
        &self.derived_from
    }

    /// Its bytes, 1 to 64 MiB.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its media type.
    pub fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    pub(crate) fn content(&mut self) -> &mut (dyn Read + Send) {
        &mut self.content
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets() -> MediaType {
        "application/octet-stream".parse().unwrap()
    }

    #[test]
    fn an_empty_or_too_long_document_is_refused_before_sealing() {
        assert!(matches!(Document::from_bytes(Vec::new(), octets()), Err(DocumentError::Empty)));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan.pdf");
        let file = File::create(&path).unwrap();
        file.set_len(DOCUMENT_BYTES_MAX).unwrap();
        let document = Document::open(&path, None).unwrap();
        assert_eq!(
            (document.bytes(), document.media_type().as_str()),
            (DOCUMENT_BYTES_MAX, "application/pdf")
        );
        file.set_len(DOCUMENT_BYTES_MAX + 1).unwrap();
        assert!(matches!(
            Document::open(&path, None),
            Err(DocumentError::TooLong { bytes }) if bytes == DOCUMENT_BYTES_MAX + 1
        ));
        assert!(matches!(Document::open(folder.path(), None), Err(DocumentError::NotAFile { .. })));
        assert!(matches!(
            Document::open(&folder.path().join("none"), None),
            Err(DocumentError::Unreadable { .. })
        ));
    }

    #[test]
    fn a_media_type_is_printable_and_bounded() {
        assert!("application/fhir+json; fhirVersion=4.0".parse::<MediaType>().is_ok());
        let long = format!("text/{}", "x".repeat(MEDIA_TYPE_BYTES_MAX));
        for refused in ["", "text", "/plain", "text/", "text/pl\nain", "text/pläin", long.as_str()] {
            assert!(refused.parse::<MediaType>().is_err(), "{refused:?}");
        }
    }
}
