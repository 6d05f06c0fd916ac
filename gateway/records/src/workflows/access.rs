//! Asking for access, and for the release of what was permitted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use caretrail_model::audit::Act;
use caretrail_model::calls::{
    AccessDecision, GetDecision, GetDisclosure, GetPatient, GetPolicy, RequestAccess, VerifyRecord,
};
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, Effect};
use caretrail_model::ids::{MspId, PatientId, RecordId, RequestId, TxId};
use caretrail_model::policy::Daemon;
use caretrail_model::purpose::Purpose;
use hlf_gateway::SignError;

use crate::call_error::CallError;
use crate::custody::{Stopped, blocking};
use crate::records::{Committed, Records};
use crate::release::{
    KemKey, ReleaseAsk, ReleaseClient, ReleaseClientError, ReleaseReply, ReleaseRequest, UnwrapError,
    blob_path, unwrap,
};
use crate::seal::{OpenError, Opened, open};
use crate::secret::{RandomnessError, random_16};

/// How often a release is asked for when the custodian says that asking again may help.
const ASKS_MAX: u32 = 5;
/// How long to wait before asking again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// How long this hospital's peer may be behind the custodian's with a block that the custodian acted on.
const BLOCK_WAIT: Duration = Duration::from_secs(5);

/// A document that another hospital released.
#[derive(Debug)]
pub struct Released {
    /// What the custodian answered.
    pub reply: ReleaseReply,
    /// The document, checked against the channel as this hospital's own peer holds it.
    pub opened: Opened,
}

/// A document that was not had.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The request could not be signed.
    #[error("the request for the release was not signed")]
    Sign(#[from] SignError),
    /// The custodian's daemon refused or was not reached.
    #[error(transparent)]
    Client(#[from] ReleaseClientError),
    /// The custodian answered another request.
    #[error("the custodian answered with another `{field}` than was asked for: do not trust its daemon")]
    OtherAnswer {
        /// The field.
        field: &'static str,
    },
    /// The wrapped secret does not open.
    #[error(transparent)]
    Unwrap(#[from] UnwrapError),
    /// The channel could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
    /// This hospital's own peer holds no permit to read this record under the decision.
    #[error("decision {decision} permits nobody here to read {record}: request access to it")]
    NotPermitted {
        /// The transaction that decided.
        decision: TxId,
        /// The record.
        record: RecordId,
    },
    /// This hospital's own peer holds no disclosure of this release.
    #[error(
        "the custodian answered before a disclosure was on record here (it names transaction {disclosure}): ask again, and if it stays so do not trust its daemon"
    )]
    NotOnRecord {
        /// The transaction that the custodian names.
        disclosure: TxId,
    },
    /// What the custodian answered is not the channel's.
    #[error(
        "the custodian's {what} of {record} version {version} does not match the channel's: do not trust its daemon"
    )]
    NotOnChannel {
        /// What differs.
        what: &'static str,
        /// The record.
        record: RecordId,
        /// The version.
        version: u64,
    },
    /// The blob was not opened.
    #[error("the released document was not opened")]
    Open(#[from] OpenError),
    /// The fetched blob cannot be read again.
    #[error("`{}` cannot be read", path.display())]
    Read {
        /// The blob's file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The program is being stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl Records {
    /// A fresh id that makes an access request repeatable.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn fresh_request_id() -> Result<RequestId, RandomnessError> {
        random_16().map(RequestId::from_bytes)
    }

    /// Asks for access to records of one patient; a denial is an answer, and commits too.
    ///
    /// The same request id again gets the first decision.
    ///
    /// # Errors
    /// When nothing was decided.
    pub async fn request_access(
        &self,
        request: RequestId,
        patient: PatientId,
        mut records: Vec<RecordId>,
        action: Action,
        purpose: Purpose,
    ) -> Result<Committed<AccessDecision>, CallError> {
        records.sort_unstable();
        records.dedup();
        self.submit(&RequestAccess { request, patient, records, action, purpose }).await
    }

    /// The hospital that releases a record under a decision: its custodian, the patient's home when the decision
    /// names no other.
    ///
    /// # Errors
    /// When the contract refuses.
    pub async fn releasing_hospital(&self, ask: &ReleaseAsk) -> Result<MspId, CallError> {
        let call = GetDecision { patient: ask.patient, decision: ask.decision };
        let entry = self.evaluate(&call).await?;
        let named = match entry.act {
            Act::AccessDecided(decided) => decided
                .decisions
                .into_iter()
                .find(|decision| decision.record == ask.record)
                .and_then(|decision| decision.custodian),
            _ => None,
        };
        match named {
            Some(custodian) => Ok(custodian),
            None => self.custodian(ask.patient).await,
        }
    }

    /// The hospital that keeps a patient's records: the patient's home.
    ///
    /// # Errors
    /// When the contract refuses.
    pub async fn custodian(&self, patient: PatientId) -> Result<MspId, CallError> {
        Ok(self.evaluate(&GetPatient { patient }).await?.home)
    }

    /// Where a hospital's daemon is found, if it is a member.
    ///
    /// # Errors
    /// When the contract refuses.
    pub async fn daemon(&self, msp_id: &MspId) -> Result<Option<Daemon>, CallError> {
        Ok(self.evaluate(&GetPolicy {}).await?.member(msp_id).map(|member| member.daemon.clone()))
    }

    /// Asks the custodian for a release, fetches the sealed blob to `folder`, and opens it there.
    ///
    /// Asked again with the same `kem_key` before the permit ends, the custodian gives the same answer, so a
    /// lost connection or a crash loses no document.
    ///
    /// # Errors
    /// When the custodian refuses, or anything does not match what was asked for or what the channel holds.
    pub async fn release(
        &self,
        client: &ReleaseClient,
        custodian: &MspId,
        ask: &ReleaseAsk,
        kem_key: &KemKey,
        folder: &Path,
    ) -> Result<Released, ReleaseError> {
        let request = ReleaseRequest::sign(
            ask,
            kem_key.public(),
            self.ledger(),
            custodian,
            self.gateway().credentials(),
        )
        .await?;
        let reply = ask_until_answered(client, &request).await?;
        check_answer(&reply, custodian, ask, kem_key)?;
        self.check_decided(&reply, ask).await?;
        self.check_disclosed(&reply, ask, kem_key).await?;
        self.check_commitments(&reply).await?;

        let secret = unwrap(&reply.wrapped_secret, kem_key, &reply.binding(self.ledger()))?;
        let path = client.fetch_blob(&reply, folder).await?;
        let (id, commitments, folder) = (reply.version_id(), reply.commitments.clone(), folder.to_owned());
        let opened = blocking(move || {
            let read = |source| ReleaseError::Read { path: path.clone(), source };
            let blob = std::fs::File::open(&path).map_err(read)?;
            let opened = open(blob, &secret, &id, &commitments, &folder);
            // A blob that cannot be opened is fetched anew; only a full disk keeps it.
            if !matches!(opened, Err(OpenError::Write { .. })) {
                std::fs::remove_file(&path).map_err(read)?;
            }
            Ok::<_, ReleaseError>(opened?)
        })
        .await??;
        Ok(Released { reply, opened })
    }

    /// Whether the version is the one that was decided, as this hospital's own peer holds the decision.
    async fn check_decided(&self, reply: &ReleaseReply, ask: &ReleaseAsk) -> Result<(), ReleaseError> {
        let call = GetDecision { patient: ask.patient, decision: ask.decision };
        let unknown = [Code::DecisionUnknown];
        let entry = self.evaluate_after(&ask.decision, BLOCK_WAIT, &unknown, &call).await?;
        let not_permitted = || ReleaseError::NotPermitted { decision: ask.decision, record: ask.record };
        let Act::AccessDecided(decided) = &entry.act else { return Err(not_permitted()) };
        let permit = decided
            .decisions
            .iter()
            .find(|decision| decision.record == ask.record)
            .filter(|decision| decision.effect == Effect::Permit && decided.action == Action::Read)
            .ok_or_else(not_permitted)?;
        same_as_channel(reply, &[("version", permit.version == Some(reply.version))])
    }

    /// Whether the release is on record, to this key, as this hospital's own peer holds the disclosure.
    async fn check_disclosed(
        &self,
        reply: &ReleaseReply,
        ask: &ReleaseAsk,
        kem_key: &KemKey,
    ) -> Result<(), ReleaseError> {
        let call = GetDisclosure { patient: ask.patient, decision: ask.decision, record: ask.record };
        // Whether there is none is told to few roles; to the others, one that is not there is not theirs.
        let unknown = [Code::DisclosureUnknown, Code::RoleNotAllowed];
        let disclosure = match self.evaluate_after(&reply.disclosure, BLOCK_WAIT, &unknown, &call).await {
            Err(error) if error.code().is_some_and(|code| unknown.contains(&code)) => {
                return Err(ReleaseError::NotOnRecord { disclosure: reply.disclosure });
            }
            disclosure => disclosure?,
        };
        let disclosed = &disclosure.disclosed;
        let fields = [
            ("disclosure", disclosure.tx_id == reply.disclosure),
            ("disclosed version", disclosed.version == reply.version),
            ("disclosed key", disclosed.kem_key_digest == kem_key.public().digest()),
            ("epoch", disclosure.epoch == reply.epoch),
        ];
        same_as_channel(reply, &fields)
    }

    /// Whether the commitments are the channel's.
    async fn check_commitments(&self, reply: &ReleaseReply) -> Result<(), ReleaseError> {
        let call = VerifyRecord {
            record: reply.record,
            version: reply.version,
            commitments: reply.commitments.clone(),
        };
        let verified = self.evaluate(&call).await?;
        let fields = [
            ("content commitment", verified.content_commitment_matches),
            ("blob digest or size", verified.blob_matches),
        ];
        same_as_channel(reply, &fields)
    }
}

/// Whether it is an answer to what was asked.
fn check_answer(
    reply: &ReleaseReply,
    custodian: &MspId,
    ask: &ReleaseAsk,
    kem_key: &KemKey,
) -> Result<(), ReleaseError> {
    let fields = [
        ("decision", reply.decision == ask.decision),
        ("record", reply.record == ask.record),
        ("custodian", reply.custodian == *custodian),
        ("kem_key_digest", reply.kem_key_digest == kem_key.public().digest()),
        ("blob_path", reply.blob_path == blob_path(&ask.decision, &ask.record)),
    ];
    match fields.into_iter().find(|(_, same)| !same) {
        Some((field, _)) => Err(ReleaseError::OtherAnswer { field }),
        None => Ok(()),
    }
}

/// Names the first field of an answer that is another one than the channel's.
fn same_as_channel(reply: &ReleaseReply, fields: &[(&'static str, bool)]) -> Result<(), ReleaseError> {
    match fields.iter().find(|(_, same)| !same) {
        Some((what, _)) => {
            Err(ReleaseError::NotOnChannel { what, record: reply.record, version: reply.version })
        }
        None => Ok(()),
    }
}

async fn ask_until_answered(
    client: &ReleaseClient,
    request: &ReleaseRequest,
) -> Result<ReleaseReply, ReleaseClientError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..ASKS_MAX {
        match client.ask(request).await {
            Err(error) if error.is_retryable() => {
                tracing::debug!(decision = %request.decision, code = error.failure().code, "asked again");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            answered => return answered,
        }
    }
    client.ask(request).await
}
