//! Which records a provision or an exception is about.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use caretrail_model::consent::Scope;
use caretrail_model::ids::{MspId, RecordId};
use caretrail_model::tag::TagSet;

use super::{Surroundings, in_order};
use crate::arguments;
use crate::failure::Invalid;

/// What was named; nothing of it stands for every record.
#[derive(Debug, Default)]
pub(crate) struct ScopeParts {
    pub(crate) records: Vec<RecordId>,
    pub(crate) custodian: Option<MspId>,
    pub(crate) labels: Vec<String>,
    pub(crate) tags: Vec<PathBuf>,
}

impl ScopeParts {
    /// The scope that they make together; none when nothing was named.
    pub(crate) fn scope(self, surroundings: &Surroundings<'_>) -> anyhow::Result<Option<Scope>> {
        let by_label = !self.labels.is_empty() || !self.tags.is_empty();
        if !self.records.is_empty() && (by_label || self.custodian.is_some()) {
            let problem = "name records, or a custodian, or labels: records that are named need nothing else";
            return Err(Invalid(problem.to_owned()).into());
        }
        if by_label {
            let mut sets = Vec::with_capacity(self.tags.len() + 1);
            if !self.labels.is_empty() {
                let labels = arguments::labels(&self.labels)?;
                sets.push((surroundings.blind)(self.custodian.as_ref(), &labels)?);
            } else if self.custodian.is_some() {
                let problem = "a file of tags names its custodian itself: leave the custodian out";
                return Err(Invalid(problem.to_owned()).into());
            }
            for file in &self.tags {
                sets.push(read_tag_set(file)?);
            }
            return Ok(Some(Scope::Tags { sets: merged(sets)? }));
        }
        Ok(match self.custodian {
            Some(msp_id) => Some(Scope::Custodian { msp_id }),
            None if self.records.is_empty() => None,
            None => Some(Scope::Records { records: in_order(self.records) }),
        })
    }
}

/// A tag set as `caretrail label blind` printed it.
pub(crate) fn read_tag_set(file: &Path) -> anyhow::Result<TagSet> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("`{}` cannot be read", file.display()))?;
    serde_json::from_str(&text).map_err(|error| {
        let file = file.display();
        Invalid(format!(
            "`{file}` holds no tags: have them made by `caretrail label blind --format json` ({error})"
        ))
        .into()
    })
}

/// One set a custodian, ascending.
pub(crate) fn merged(sets: Vec<TagSet>) -> anyhow::Result<Vec<TagSet>> {
    let mut merged: Vec<TagSet> = Vec::with_capacity(sets.len());
    for set in sets {
        match merged.iter_mut().find(|known| known.custodian == set.custodian) {
            None => merged.push(set),
            Some(known) if known.epoch == set.epoch => {
                known.tags = in_order(known.tags.iter().copied().chain(set.tags).collect());
            }
            Some(known) => {
                let problem = format!(
                    "tags of {} were blinded with two different keys: have all of them blinded anew",
                    known.custodian
                );
                return Err(Invalid(problem).into());
            }
        }
    }
    merged.sort_by(|one, other| one.custodian.cmp(&other.custodian));
    Ok(merged)
}
