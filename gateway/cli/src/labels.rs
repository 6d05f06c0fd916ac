//! The labels of a record, as flags.

use std::path::PathBuf;

use caretrail_model::ids::PatientId;
use caretrail_model::label::Label;
use caretrail_model::tag::TagSet;
use caretrail_records::document::Document;
use clap::Args;

use crate::app::Session;
use crate::arguments;
use crate::provision::{merged, read_tag_set};

/// Which labels a record carries.
#[derive(Debug, Args)]
#[command(next_help_heading = "Labels")]
pub(crate) struct LabelArgs {
    /// A label that the record carries, such as `HIV` (see `caretrail label known`); may be given up to eight times. It
    /// is blinded here: the channel cannot tell what it says, nor how many there are.
    #[arg(long = "label", value_name = "LABEL", conflicts_with = "no_labels")]
    labels: Vec<String>,
    /// Says that no label applies. A record whose labels nobody named is counted as the more private case by every
    /// consent that goes by labels.
    #[arg(long)]
    no_labels: bool,
}

impl LabelArgs {
    /// The labels; nothing when nobody named them.
    pub(crate) fn named(&self) -> anyhow::Result<Option<Vec<Label>>> {
        let named = self.no_labels || !self.labels.is_empty();
        named.then(|| arguments::labels(&self.labels)).transpose()
    }

    /// The document with these labels.
    pub(crate) fn on(&self, document: Document) -> anyhow::Result<Document> {
        Ok(match self.named()? {
            Some(labels) => document.labelled(labels),
            None => document,
        })
    }
}

/// Labels of records that a guardian's permits never hold for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Protected records")]
pub(crate) struct ProtectedArgs {
    /// Records with this label of the identity's own hospital stay closed to the guardian's permits; may be given more
    /// than once.
    #[arg(long = "protect", value_name = "LABEL")]
    labels: Vec<String>,
    /// So do those with the labels that another hospital blinded: what its `caretrail label blind` printed.
    #[arg(long = "protect-tags", value_name = "FILE")]
    tags: Vec<PathBuf>,
}

impl ProtectedArgs {
    /// The blinded labels, one set a custodian.
    pub(crate) fn sets(&self, session: &Session, patient: &PatientId) -> anyhow::Result<Vec<TagSet>> {
        let mut sets = Vec::with_capacity(self.tags.len() + 1);
        if !self.labels.is_empty() {
            sets.push(session.blind(None, patient, &arguments::labels(&self.labels)?)?);
        }
        for file in &self.tags {
            sets.push(read_tag_set(file)?);
        }
        merged(sets)
    }
}
