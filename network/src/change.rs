//! A running channel's configuration, changed by proposals that travel.
//!
//! Whoever wants a change makes a [`Proposal`] from the channel's present [`ChannelConfig`] and [`Edit`]s. It is a
//! file: others read its [`Difference`]s in plain words, sign it with their own key, and pass it on. Its
//! [`Standing`] says which of the channel's policies guard what it touches, who has signed and who is missing. When
//! nobody is, anybody submits it.
//!
//! What Fabric would reject is refused when the proposal is made, before anybody signs.
//!
//! | module | holds |
//! |---|---|
//! | `authorities` | who issues an organisation's certificates, and what they revoked |
//! | `config` | the configuration tree as read from a block |
//! | `edit` | what can be changed |
//! | `consenters` | changes of the ordering service's nodes, Raft and BFT |
//! | `organization` | what an organisation that joins hands over |
//! | `delta` | the update between two trees, as orderers want it, and a tree with an update applied |
//! | `difference` | the same in words |
//! | `members` | whose certificate a signature is, and in which role |
//! | `standing` | policies, evaluated as orderers do |
//! | `preflight` | what Fabric would reject |
//! | `proposal` | the file that travels |

mod authorities;
mod config;
mod consenters;
mod delta;
mod difference;
mod edit;
mod members;
mod organization;
mod preflight;
mod proposal;
mod standing;
#[cfg(test)]
mod tests;

pub(crate) use authorities::key_id;
pub use config::{ChannelConfig, ConfigError, Consenter, ConsenterCertificates};
pub(crate) use consenters::ConsentersChange;
pub use consenters::{ConsenterEdit, NewConsenter};
pub use difference::Difference;
pub use edit::{Edit, EditError, MetaRule, PolicyRule};
pub use members::{MembersError, Role, Signer};
pub(crate) use members::{common_name, is_issued_by};
pub use organization::{AnchorAddress, OrganizationDefinition, OrganizationError};
pub use preflight::Rejection;
pub use proposal::{FileFormatError, Proposal, ProposalError, SubmitError};
pub(crate) use standing::policy_of_application;
pub use standing::{Requirement, Rule, Standing};
