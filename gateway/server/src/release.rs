//! The release of a version: nothing leaves before it is on record.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use bytes::Bytes;
use caretrail_model::audit::AuditEntry;
use caretrail_model::calls::{
    Disclosure, GetDecision, GetDisclosure, GetPatient, GetPolicy, GetRecord, GetSigner, GetStanding,
    GetStatement, RecordDisclosure,
};
use caretrail_model::code::Code;
use caretrail_model::ids::{Actor, MspId};
use caretrail_model::record::RecordVersion;
use caretrail_model::time::UnixMs;
use caretrail_model::webauthn::Accepted;
use caretrail_records::hospital::Release;
use caretrail_records::release::{
    RELEASES_PATH, ReleaseBinding, ReleaseReply, ReleaseRequest, VerifiedRequest, blob_path, wrap,
};
use caretrail_records::secret::VersionSecret;
use caretrail_records::{Custody, Failure, Records, VersionId};
use rustls::pki_types::CertificateDer;
use tracing::{Instrument as _, Span, field};

use crate::answer::Refused;
use crate::blob::{blob, blocking};
use crate::checks::{Basis, Evidence, Permit, Refusal, check_consent, check_decision};
use crate::config::Limits;
use crate::health;
use crate::membership::Membership;
use crate::places::{Place, Places};

/// What every request works with.
pub(crate) struct Daemon {
    pub(crate) records: Records,
    pub(crate) custody: Custody,
    pub(crate) membership: Arc<Membership>,
    pub(crate) limits: Limits,
    places: Arc<Places>,
}

/// Who is at the other end of the connection.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    /// The TLS certificate that was shown, and its chain.
    pub(crate) chain: Arc<[CertificateDer<'static>]>,
}

impl Daemon {
    pub(crate) fn new(
        records: Records,
        custody: Custody,
        membership: Arc<Membership>,
        limits: Limits,
    ) -> Self {
        let places = Places::new(limits.releases_max, limits.hospital_releases_max);
        Self { records, custody, membership, limits, places }
    }

    /// The hospitals whose authority vouches for the other end now: a connection may outlive a membership.
    pub(crate) fn hospitals(&self, asker: &Asker) -> Result<Vec<MspId>, Refused> {
        let hospitals = self.membership.current().hospitals(&asker.chain);
        if hospitals.is_empty() { Err(Refusal::HospitalForeign.into()) } else { Ok(hospitals) }
    }

    /// A place for work that is asked for by these hospitals.
    pub(crate) fn place(&self, hospitals: &[MspId]) -> Result<Place, Refused> {
        self.places.take(hospitals).ok_or_else(|| {
            Refused::busy(
                "the daemon is at work on as much as it takes from one hospital, or in all: ask again",
            )
        })
    }

    pub(crate) fn msp_id(&self) -> &MspId {
        &self.records.actor().msp_id
    }
}

/// Every route for other hospitals.
pub(crate) fn routes(daemon: &Arc<Daemon>) -> Router {
    Router::new()
        .route(RELEASES_PATH, post(releases))
        .route(&format!("{RELEASES_PATH}/{{decision}}/{{record}}/blob"), get(blob))
        .merge(health::routes_for_hospitals())
        .fallback(async || {
            let fix = "see the release API: POST /v1/releases, GET /v1/releases/{decision}/{record}/blob";
            Refused::new(StatusCode::NOT_FOUND, Failure::new("NO_SUCH_PATH", "input", fix))
        })
        .method_not_allowed_fallback(async || {
            let fix = "see the release API for the method of this path";
            Refused::new(StatusCode::METHOD_NOT_ALLOWED, Failure::new("METHOD_NOT_ALLOWED", "input", fix))
        })
        .layer(DefaultBodyLimit::max(daemon.limits.request_bytes_max))
        .with_state(Arc::clone(daemon))
}

/// `POST /v1/releases`.
async fn releases(
    State(daemon): State<Arc<Daemon>>,
    Extension(asker): Extension<Asker>,
    request: Request,
) -> Result<Json<ReleaseReply>, Refused> {
    let msp_id = daemon.msp_id().clone();
    answered(&daemon, &asker, request).await.map(Json).map_err(|refused| refused.by(&msp_id))
}

async fn answered(daemon: &Daemon, asker: &Asker, request: Request) -> Result<ReleaseReply, Refused> {
    let hospitals = daemon.hospitals(asker)?;
    let fix = "send the request as JSON within the daemon's limits of bytes and time";
    let unreadable = |status| Refused::new(status, Failure::new("REQUEST_UNREADABLE", "input", fix));
    let body = tokio::time::timeout(daemon.limits.handshake_timeout, Bytes::from_request(request, &()))
        .await
        .map_err(|_| unreadable(StatusCode::REQUEST_TIMEOUT))?
        .map_err(|rejection| unreadable(rejection.status()))?;
    let request: ReleaseRequest = serde_json::from_slice(&body).map_err(|_| {
        Refused::malformed("send decision, patient, record, kem_public_key, certificate and signature")
    })?;
    // What needs no ledger is checked first: it holds no place.
    let request = request.verify(daemon.records.ledger(), daemon.msp_id())?;
    let _place = daemon.place(&hospitals)?;

    let span = tracing::info_span!(
        "release",
        decision = %request.ask.decision,
        record = %request.ask.record,
        channel = %daemon.records.ledger().channel,
        msp_id = ?hospitals,
        tx_id = field::Empty,
        outcome = field::Empty,
    );
    let outcome = tokio::time::timeout(daemon.limits.release_timeout, release(daemon, &hospitals, &request))
        .instrument(span.clone())
        .await
        .unwrap_or_else(|_| {
            let fix = "the custodian's ledger is slow: ask again with the same key";
            let failure = Failure::new("RELEASE_TIMEOUT", "release", fix).retryable();
            Err(Refused::new(StatusCode::GATEWAY_TIMEOUT, failure))
        });
    span.record(
        "outcome",
        outcome.as_ref().map_or_else(|refused| refused.failure.code.as_str(), |_| "released"),
    );
    let _entered = span.enter();
    match &outcome {
        Ok(_) => tracing::info!("released"),
        Err(refused) => tracing::info!(code = refused.failure.code, "not released"),
    }
    outcome
}

/// The release, step by step; each is asked of this hospital's own peer.
async fn release(
    daemon: &Daemon,
    hospitals: &[MspId],
    request: &VerifiedRequest,
) -> Result<ReleaseReply, Refused> {
    let entry = decision(daemon, hospitals, request).await?;
    // The contract does not tell a hospital that there is a decision of another; nor does its daemon.
    if !hospitals.contains(&entry.actor.msp_id) {
        tracing::warn!(code = Refusal::HospitalForeign.code(), "release refused");
        return Err(Refused::decision_unknown());
    }
    let permit = check_decision(request, hospitals, &entry, now())?;
    let disclosed = disclosure(daemon, request).await?;

    // Before anything is put on record: what cannot be released is not disclosed either.
    let (held, secret) = held_version(daemon, &permit).await?;
    let disclosure = match disclosed {
        Some(disclosure) => disclosure,
        None => {
            consent(daemon, request, &permit).await?;
            disclose(daemon, request, &permit).await?
        }
    };
    Span::current().record("tx_id", field::display(&disclosure.tx_id));
    answer(daemon, request, &permit, &held, &secret, &disclosure).await
}

/// The decision as this hospital's peer holds it. One that is not in a block here yet is waited for: the
/// asker saw it committed on its own peer. Anybody can make up a decision; only who may have asked for one at
/// the asking hospital is waited for.
async fn decision(
    daemon: &Daemon,
    hospitals: &[MspId],
    request: &VerifiedRequest,
) -> Result<AuditEntry, Refused> {
    let (records, ask) = (&daemon.records, &request.ask);
    let call = GetDecision { patient: ask.patient, decision: ask.decision };
    let unknown = |error: &caretrail_records::CallError| error.code() == Some(Code::DecisionUnknown);
    match records.decision(&call).await {
        Err(error) if unknown(&error) => {}
        answer => return Ok(answer?),
    }
    if !authorised(daemon, hospitals, request).await? {
        return Err(Refused::decision_unknown());
    }
    let wait = daemon.limits.decision_wait;
    match records.evaluate_after(&ask.decision, wait, &[Code::DecisionUnknown], &call).await {
        Err(error) if unknown(&error) => Err(Refused::decision_unknown()),
        answer => Ok(answer?),
    }
}

/// Whether one of these hospitals authorised the holder of the request's certificate.
async fn authorised(
    daemon: &Daemon,
    hospitals: &[MspId],
    request: &VerifiedRequest,
) -> Result<bool, Refused> {
    let certificate = &request.certificate;
    for msp_id in hospitals {
        let actor = Actor { msp_id: msp_id.clone(), subject: certificate.subject };
        match daemon.records.standing(&GetStanding { actor }).await {
            Ok(standing) if standing.role == certificate.role && standing.holds_at(now()) => return Ok(true),
            Ok(_) => {}
            Err(error) if error.code() == Some(Code::StandingUnknown) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// The disclosure that is on record already, if it was to this key.
async fn disclosure(daemon: &Daemon, request: &VerifiedRequest) -> Result<Option<Disclosure>, Refused> {
    let ask = &request.ask;
    let call = GetDisclosure { patient: ask.patient, decision: ask.decision, record: ask.record };
    match daemon.records.disclosure(&call).await {
        Ok(disclosure) if disclosure.disclosed.kem_key_digest == request.kem_public_key.digest() => {
            Ok(Some(disclosure))
        }
        Ok(_) => Err(Refused::disclosed_to_other_key()),
        Err(error) if error.code() == Some(Code::DisclosureUnknown) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What the channel holds of the permitted version, and its secret, with the blob known to be at hand.
async fn held_version(daemon: &Daemon, permit: &Permit) -> Result<(RecordVersion, VersionSecret), Refused> {
    let held = daemon.records.record_version(permit.record, Some(permit.version)).await?;
    let id = VersionId { record: permit.record, version: permit.version };
    let custody = daemon.custody.clone();
    let commitments = held.commitments.clone();
    let secret = blocking(move || {
        let unavailable = |code| {
            let fix = "the custodian has to restore its vault or store from a backup";
            Refused::new(StatusCode::SERVICE_UNAVAILABLE, Failure::new(code, "release", fix))
        };
        let secret = custody.store.secret(&id, &commitments.content_commitment)?;
        let secret = secret.ok_or_else(|| unavailable("SECRET_UNAVAILABLE"))?;
        match custody.vault.open(&commitments.blob_digest, 0) {
            Ok(blob) if blob.bytes == commitments.sealed_bytes => Ok::<_, Refused>(secret),
            Ok(_) => Err(unavailable("BLOB_UNAVAILABLE")),
            Err(error) => {
                tracing::error!(%error, "the blob of a permitted version is not at hand");
                Err(unavailable("BLOB_UNAVAILABLE"))
            }
        }
    })
    .await??;
    Ok((held, secret))
}

/// Verifies by itself that a key of the patient signed what the permit rests on.
async fn consent(daemon: &Daemon, request: &VerifiedRequest, permit: &Permit) -> Result<(), Refused> {
    let (Basis::Consent(statement) | Basis::PassedOn(statement)) = permit.basis else { return Ok(()) };
    let (records, patient) = (&daemon.records, request.ask.patient);
    let policy = records.policy(&GetPolicy {}).await?;
    let carried = records.statement(&GetStatement { patient, statement }).await?;
    let signed = carried.signed.parse().map_err(|_| Refusal::ConsentSignature)?;
    // Keys are kept one by one from epoch 2 on.
    let public_key = if policy.epoch > 1 {
        match records.signer(&GetSigner { patient, key: signed.key }).await {
            Ok(signer) => signer.public_key,
            Err(error) if error.code() == Some(Code::KeyUnbound) => {
                return Err(Refusal::ConsentSignature.into());
            }
            Err(error) => return Err(error.into()),
        }
    } else {
        let held = records.patient(&GetPatient { patient }).await?;
        held.public_key.ok_or(Refusal::ConsentSignature)?
    };
    let record = records.record(&GetRecord { record: permit.record }).await?.record;
    let evidence = Evidence {
        signed: &carried.signed,
        public_key: &public_key,
        accepted: policy.terms.as_ref().map_or_else(Accepted::default, |terms| Accepted {
            relying_parties: &terms.relying_parties,
            user_verification: terms.user_verification,
        }),
        tags: record.tags.as_ref(),
    };
    check_consent(permit, request, &evidence, records.ledger(), daemon.msp_id(), now())?;
    Ok(())
}

/// Puts the disclosure on record; the contract decides again, so that a revocation that was ordered first
/// refuses it.
async fn disclose(
    daemon: &Daemon,
    request: &VerifiedRequest,
    permit: &Permit,
) -> Result<Disclosure, Refused> {
    let call = RecordDisclosure {
        patient: request.ask.patient,
        decision: request.ask.decision,
        record: permit.record,
        version: permit.version,
        recipient: permit.recipient.clone(),
        kem_key_digest: request.kem_public_key.digest(),
    };
    match daemon.records.record_disclosure(&call).await {
        Ok(committed) => Ok(committed.reply),
        // Another request with this key was faster.
        Err(error) if error.code() == Some(Code::AlreadyDisclosed) => {
            disclosure(daemon, request).await?.ok_or_else(|| error.into())
        }
        Err(error) if error.code() == Some(Code::DisclosedToOtherKey) => {
            Err(Refused::disclosed_to_other_key())
        }
        Err(error) => Err(error.into()),
    }
}

async fn answer(
    daemon: &Daemon,
    request: &VerifiedRequest,
    permit: &Permit,
    held: &RecordVersion,
    secret: &VersionSecret,
    disclosure: &Disclosure,
) -> Result<ReleaseReply, Refused> {
    let release = Release {
        decision: request.ask.decision,
        record: permit.record,
        disclosure: disclosure.tx_id,
        recipient_msp: permit.recipient.msp_id.clone(),
        blob_digest: held.commitments.blob_digest,
        valid_until: permit.valid_until,
    };
    let store = Arc::clone(&daemon.custody.store);
    blocking(move || store.store_release(&release)).await??;

    let binding = ReleaseBinding {
        ledger: daemon.records.ledger().clone(),
        custodian: daemon.msp_id().clone(),
        version: VersionId { record: permit.record, version: permit.version },
        kem_key_digest: request.kem_public_key.digest(),
        decision: request.ask.decision,
        disclosure: disclosure.tx_id,
        epoch: disclosure.epoch,
    };
    let wrapped_secret = wrap(secret, &request.kem_public_key, &binding)
        .map_err(|_| Refused::malformed("send a P-256 public key that a secret can be shared with"))?;
    Ok(ReleaseReply {
        decision: request.ask.decision,
        record: permit.record,
        version: permit.version,
        custodian: daemon.msp_id().clone(),
        disclosure: disclosure.tx_id,
        epoch: disclosure.epoch,
        kem_key_digest: binding.kem_key_digest,
        commitments: held.commitments.clone(),
        wrapped_secret,
        blob_path: blob_path(&request.ask.decision, &permit.record),
    })
}

/// This machine's clock; beyond what a time can be, every permit is over.
pub(crate) fn now() -> UnixMs {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::MAX);
    let last = UnixMs::new((1 << 53) - 1);
    u64::try_from(elapsed.as_millis())
        .ok()
        .and_then(UnixMs::new)
        .or(last)
        .unwrap_or_else(|| unreachable!("2^53 - 1 is a time"))
}
