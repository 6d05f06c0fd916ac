//! A change on its way: made by one organisation, read and signed by others, submitted by any.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hlf_gateway::{ConnectError, Credentials, Endpoint, SignError};
use hlf_protos::common::{
    ChannelHeader, ConfigSignature, ConfigUpdate, ConfigUpdateEnvelope, Envelope, Header, HeaderType,
    Payload, SignatureHeader, Status,
};
use hlf_protos::orderer::atomic_broadcast_client::AtomicBroadcastClient;
use hlf_protos::prost::{DecodeError, Message as _};
use hlf_protos::prost_types::Timestamp;
use serde::{Deserialize, Serialize};

use super::config::{ChannelConfig, ConfigError};
use super::consenters::ConsentersChange;
use super::delta;
use super::difference::Difference;
use super::edit::{Edit, EditError};
use super::members::{MembersError, Signer};
use super::preflight::{self, Rejection};
use super::standing::{Requirement, Standing};

/// The file's first words; another number is another layout.
const FORMAT: &str = "hlf-network channel change 1";

/// The most bytes of a proposal's file.
const FILE_BYTES_MAX: usize = 16 << 20;

const NONCE_BYTES: usize = 24;

/// A change of a channel's configuration with the signatures that it has so far.
///
/// It holds no secret. Its file is JSON: channel, title, the update as Fabric takes it, and each signature.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    channel: String,
    title: String,
    made_at: u64,
    /// The encoding of `common.ConfigUpdate`: what is signed, never encoded again.
    update: Vec<u8>,
    signatures: Vec<ConfigSignature>,
}

/// Why a proposal cannot be made, signed, or judged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProposalError {
    /// The channel's configuration cannot be read.
    #[error("the channel's configuration cannot be read")]
    Config(#[from] ConfigError),
    /// An edit does not fit the channel.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Fabric would reject it.
    #[error("Fabric would not take this change")]
    Rejected(#[from] Rejection),
    /// No signatures could satisfy a policy that guards it.
    #[error("nobody can make this change: {0}")]
    Impossible(String),
    /// It is for another channel.
    #[error("the proposal is for channel `{proposal}`, not for `{channel}`")]
    Channel {
        /// Its channel.
        proposal: String,
        /// The channel at hand.
        channel: String,
    },
    /// The channel has changed since, in what the proposal touches.
    #[error(
        "the proposal was made when the channel's configuration was number {made_at}; since then `{path}` was changed, \
         so it no longer fits number {now}: make it again"
    )]
    Stale {
        /// The number it was made at.
        made_at: u64,
        /// The present number.
        now: u64,
        /// What was changed.
        path: String,
    },
    /// A signature is not a member's.
    #[error("the signature does not count")]
    Signer(#[from] MembersError),
    /// The signer has no right that counts here.
    #[error(
        "`{common_name}` of `{msp_id}` cannot help this change: it wants {wanted}; sign with an identity of that role"
    )]
    Unwanted {
        /// The signer's organisation.
        msp_id: String,
        /// Its common name.
        common_name: String,
        /// What the policies ask for.
        wanted: String,
    },
    /// The signer failed.
    #[error("the proposal was not signed")]
    Sign(#[from] SignError),
    /// The operating system has no randomness to give.
    #[error("the operating system gives no random bytes")]
    Random,
}

/// Why a text is not a proposal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileFormatError {
    /// The text is too long.
    #[error("the file is longer than {FILE_BYTES_MAX} bytes")]
    TooLong,
    /// The text is not a proposal's.
    #[error("this is no proposal of a channel's change")]
    Syntax(#[source] serde_json::Error),
    /// The text is of another layout.
    #[error("the file's format is `{0}`, this program reads `{FORMAT}`")]
    Format(String),
    /// Bytes in it are not base64.
    #[error("`{0}` in the file is not base64")]
    Base64(&'static str),
    /// The update in it cannot be read.
    #[error("the update in the file cannot be read")]
    Update(#[source] DecodeError),
    /// The update is for another channel than the file says.
    #[error("the file says channel `{file}` and its update `{update}`: don't trust it")]
    Channel {
        /// The file's channel.
        file: String,
        /// The update's channel.
        update: String,
    },
    /// Two files hold different changes.
    #[error("the two files are of different changes; signatures of one don't count for the other")]
    Different,
}

/// Why a proposal was not submitted, or is not known to be in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// Signatures are missing.
    #[error("signatures are missing: {0}")]
    Incomplete(String),
    /// It could not be judged.
    #[error("the proposal was not submitted")]
    Proposal(#[from] ProposalError),
    /// The orderer could not be reached, so nothing was sent.
    #[error("the proposal was not submitted")]
    Connect(#[from] ConnectError),
    /// The orderer refused it.
    #[error("the orderer refused the change ({status}): {info}")]
    Refused {
        /// Its status, such as `BAD_REQUEST`.
        status: String,
        /// Its reason.
        info: String,
    },
    /// It was sent and no answer came.
    #[error(
        "it is not known whether the orderer took the change: look at the channel's configuration before you send it again"
    )]
    Unknown(#[source] Box<hlf_gateway::CallFailure>),
}

impl SubmitError {
    /// Whether the orderer took nothing because it knows no leader, while another may.
    pub(crate) fn is_unavailable(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == Status::ServiceUnavailable.as_str_name())
    }

    /// Whether the ordering service may take the very same change a little later: it hears too few of its nodes now.
    pub(crate) fn is_for_now(&self) -> bool {
        self.is_unavailable() || matches!(self, Self::Refused { info, .. } if info.contains("quorum loss"))
    }
}

impl Proposal {
    /// Makes a proposal of edits to a channel as it is now.
    ///
    /// # Errors
    /// [`ProposalError`] when an edit does not fit, or Fabric would reject the outcome.
    pub fn new(present: &ChannelConfig, title: &str, edits: &[Edit]) -> Result<Self, ProposalError> {
        let mut wanted = present.clone();
        for edit in edits {
            edit.apply(&mut wanted)?;
        }
        let update = delta::between(present, &wanted)?.ok_or(Rejection::NothingChanges)?;
        preflight::check(present, &wanted)?;
        let proposal = Self {
            channel: present.channel().to_owned(),
            title: title.to_owned(),
            made_at: present.sequence(),
            update: update.encode_to_vec(),
            signatures: Vec::new(),
        };
        match proposal.standing(present)?.impossible() {
            Some(requirement) => Err(ProposalError::Impossible(requirement.to_string())),
            None => Ok(proposal),
        }
    }

    /// The channel's id.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// What its maker calls it.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The encoding of `common.ConfigUpdate`.
    pub fn update(&self) -> &[u8] {
        &self.update
    }

    /// What it changes in a channel as it is now, in words.
    ///
    /// # Errors
    /// [`ProposalError`] when it no longer fits the channel, or is of another one.
    pub fn differences(&self, present: &ChannelConfig) -> Result<Vec<Difference>, ProposalError> {
        Ok(Difference::between(present, &self.applied_to(present)?)?)
    }

    /// Who has signed it and who is missing, in a channel as it is now.
    ///
    /// # Errors
    /// [`ProposalError`] when it no longer fits the channel, or a signature is not a member's.
    pub fn standing(&self, present: &ChannelConfig) -> Result<Standing, ProposalError> {
        self.applied_to(present)?;
        let mut signers = Vec::new();
        for signature in &self.signatures {
            let header = SignatureHeader::decode(signature.signature_header.as_slice())
                .map_err(|error| MembersError::Unreadable(error.to_string()))?;
            signers.push(Signer::identify(present, &header.creator)?);
        }
        Ok(Standing::of(present, &self.decoded()?, &signers)?)
    }

    /// Signs it with one's own key; a second signature of the same identity replaces the first.
    ///
    /// Whoever signs judges the outcome first: a proposal that came from elsewhere is looked at as a new one is.
    ///
    /// # Errors
    /// [`ProposalError`] when the outcome would be rejected, or the signature would not count.
    pub async fn sign(
        &mut self,
        present: &ChannelConfig,
        credentials: &Credentials,
    ) -> Result<(), ProposalError> {
        let wanted = self.applied_to(present)?;
        preflight::check(present, &wanted)?;
        let creator = credentials.identity().creator();
        let signer = Signer::identify(present, &creator)?;
        let alone = Standing::of(present, &self.decoded()?, std::slice::from_ref(&signer))?;
        if alone.requirements.iter().all(|requirement| requirement.signed.is_empty()) {
            let wanted = alone.requirements.iter().map(|one| one.rule.to_string()).collect::<Vec<_>>();
            return Err(ProposalError::Unwanted {
                msp_id: signer.msp_id,
                common_name: signer.common_name,
                wanted: wanted.join(" and "),
            });
        }
        let mut nonce = vec![0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| ProposalError::Random)?;
        let header = SignatureHeader { creator: creator.clone(), nonce }.encode_to_vec();
        let signature = credentials.sign(&[header.as_slice(), &self.update].concat()).await?;
        self.signatures.retain(|known| {
            SignatureHeader::decode(known.signature_header.as_slice())
                .is_ok_and(|header| header.creator != creator)
        });
        self.signatures.push(ConfigSignature { signature_header: header, signature });
        Ok(())
    }

    /// Takes over the signatures of another copy of the same change.
    ///
    /// # Errors
    /// [`FileFormatError::Different`] when it is another change.
    pub fn merge(&mut self, other: &Self) -> Result<(), FileFormatError> {
        if self.update != other.update {
            return Err(FileFormatError::Different);
        }
        let new: Vec<_> = other
            .signatures
            .iter()
            .filter(|theirs| !self.signatures.iter().any(|ours| ours.signature == theirs.signature))
            .cloned()
            .collect();
        self.signatures.extend(new);
        Ok(())
    }

    /// Hands it to an orderer, in the name of any member who may write to the channel.
    ///
    /// Success means that the orderer took it; it is in force when the channel's configuration says so.
    ///
    /// # Errors
    /// [`SubmitError`]; [`SubmitError::Unknown`] when it was sent and no answer came.
    pub async fn submit(
        &self,
        present: &ChannelConfig,
        orderer: &Endpoint,
        credentials: &Credentials,
        limit: Duration,
    ) -> Result<(), SubmitError> {
        let standing = self.standing(present)?;
        if !standing.is_complete() {
            let missing = standing.requirements.iter().filter(|one| !one.satisfied);
            let missing = missing.map(Requirement::to_string).collect::<Vec<_>>().join("; ");
            return Err(SubmitError::Incomplete(missing));
        }
        let envelope = self.envelope(credentials).await?;
        let channel = orderer.connect(limit).await?;
        let mut client = AtomicBroadcastClient::new(channel);
        let unknown = |status: tonic::Status| SubmitError::Unknown(Box::new(status.into()));
        let answered = async {
            let mut answers = client.broadcast(tokio_stream::once(envelope)).await?.into_inner();
            answers
                .message()
                .await?
                .ok_or_else(|| tonic::Status::unavailable("the orderer closed the stream"))
        };
        let late = || tonic::Status::deadline_exceeded(format!("no answer within {} ms", limit.as_millis()));
        let answer = match tokio::time::timeout(limit, answered).await {
            Ok(answer) => answer.map_err(unknown)?,
            Err(_) => return Err(unknown(late())),
        };
        match answer.status() {
            Status::Success => Ok(()),
            status => {
                Err(SubmitError::Refused { status: status.as_str_name().to_owned(), info: answer.info })
            }
        }
    }

    /// Whether a channel's configuration is what the proposal leads to, with regard to what it touches.
    pub fn is_in_force(&self, present: &ChannelConfig) -> bool {
        present.sequence() > self.made_at
            && self.decoded().is_ok_and(|update| {
                delta::applied(present, &update).is_err() && delta::is_written(present, &update)
            })
    }

    async fn envelope(&self, credentials: &Credentials) -> Result<Envelope, ProposalError> {
        let mut nonce = vec![0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| ProposalError::Random)?;
        let header = Header {
            channel_header: ChannelHeader {
                r#type: HeaderType::ConfigUpdate.into(),
                timestamp: Some(Timestamp::from(SystemTime::now())),
                channel_id: self.channel.clone(),
                ..ChannelHeader::default()
            }
            .encode_to_vec(),
            signature_header: SignatureHeader { creator: credentials.identity().creator(), nonce }
                .encode_to_vec(),
        };
        let data =
            ConfigUpdateEnvelope { config_update: self.update.clone(), signatures: self.signatures.clone() };
        let payload = Payload { header: Some(header), data: data.encode_to_vec() }.encode_to_vec();
        let signature = credentials.sign(&payload).await?;
        Ok(Envelope { payload, signature })
    }

    /// The ordering service's nodes that it changes, in a channel as it is now.
    ///
    /// # Errors
    /// [`ProposalError`] when it no longer fits the channel, or is of another one.
    pub(crate) fn consenters(&self, present: &ChannelConfig) -> Result<ConsentersChange, ProposalError> {
        let wanted = self.applied_to(present)?;
        Ok(ConsentersChange::between(&present.consenters()?, &wanted.consenters()?))
    }

    fn applied_to(&self, present: &ChannelConfig) -> Result<ChannelConfig, ProposalError> {
        if self.channel != present.channel() {
            let channel = present.channel().to_owned();
            return Err(ProposalError::Channel { proposal: self.channel.clone(), channel });
        }
        delta::applied(present, &self.decoded()?).map_err(|stale| ProposalError::Stale {
            made_at: self.made_at,
            now: present.sequence(),
            path: stale.path,
        })
    }

    fn decoded(&self) -> Result<ConfigUpdate, ConfigError> {
        super::config::decode("the update", &self.update)
    }

    /// Reads a proposal's file.
    ///
    /// # Errors
    /// [`FileFormatError`] when it is another kind of file or does not agree with itself.
    pub fn parse(text: &str) -> Result<Self, FileFormatError> {
        if text.len() > FILE_BYTES_MAX {
            return Err(FileFormatError::TooLong);
        }
        let file: File = serde_json::from_str(text).map_err(FileFormatError::Syntax)?;
        if file.format != FORMAT {
            return Err(FileFormatError::Format(file.format));
        }
        let bytes = |what, text: &str| STANDARD.decode(text).map_err(|_| FileFormatError::Base64(what));
        let update = bytes("update", &file.update)?;
        let decoded = ConfigUpdate::decode(update.as_slice()).map_err(FileFormatError::Update)?;
        if decoded.channel_id != file.channel {
            return Err(FileFormatError::Channel { file: file.channel, update: decoded.channel_id });
        }
        let signatures = file
            .signatures
            .iter()
            .map(|signature| {
                Ok(ConfigSignature {
                    signature_header: bytes("header", &signature.header)?,
                    signature: bytes("signature", &signature.signature)?,
                })
            })
            .collect::<Result<_, FileFormatError>>()?;
        Ok(Self { channel: file.channel, title: file.title, made_at: file.made_at, update, signatures })
    }
}

/// The file's text.
impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = File {
            format: FORMAT.to_owned(),
            channel: self.channel.clone(),
            title: self.title.clone(),
            made_at: self.made_at,
            update: STANDARD.encode(&self.update),
            signatures: self
                .signatures
                .iter()
                .map(|signature| FileSignature {
                    header: STANDARD.encode(&signature.signature_header),
                    signature: STANDARD.encode(&signature.signature),
                })
                .collect(),
        };
        let text = serde_json::to_string_pretty(&file).map_err(|_| fmt::Error)?;
        writeln!(f, "{text}")
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    channel: String,
    title: String,
    /// The number of the configuration that it was made from.
    made_at: u64,
    update: String,
    signatures: Vec<FileSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSignature {
    header: String,
    signature: String,
}
