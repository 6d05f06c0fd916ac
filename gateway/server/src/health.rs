//! Whether the daemon lives, and whether it can release.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Extension, Json, Router};
use caretrail_model::calls::GetPolicy;
use caretrail_records::Failure;
use serde::Serialize;

use crate::answer::{Refused, told};
use crate::release::{Asker, Daemon};

/// How long a part of the daemon may take to answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// What `/readyz` answers.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    /// Each part: `null` when it answers, else why it does not.
    checks: BTreeMap<&'static str, Option<Failure>>,
}

/// For the machine's own monitoring.
pub(crate) fn routes() -> Router<Arc<Daemon>> {
    with_readiness(get(async |State(daemon): State<Arc<Daemon>>| readiness(&daemon).await))
}

/// For other hospitals.
pub(crate) fn routes_for_hospitals() -> Router<Arc<Daemon>> {
    with_readiness(get(readyz))
}

fn with_readiness(readyz: MethodRouter<Arc<Daemon>>) -> Router<Arc<Daemon>> {
    Router::new().route("/livez", get(async || "live\n")).route("/readyz", readyz)
}

/// It asks the peer, the vault and the store, as a release does, and takes a place as one does.
async fn readyz(
    State(daemon): State<Arc<Daemon>>,
    Extension(asker): Extension<Asker>,
) -> Result<Response, Refused> {
    let placed = daemon.hospitals(&asker).and_then(|hospitals| daemon.place(&hospitals));
    let _place = placed.map_err(|refused| refused.by(daemon.msp_id()))?;
    Ok(readiness(&daemon).await)
}

async fn readiness(daemon: &Daemon) -> Response {
    let (ledger, vault, store) = tokio::join!(ledger(daemon), vault(daemon), store(daemon));
    let trust = daemon.membership.problem();
    let checks = BTreeMap::from([("ledger", ledger), ("store", store), ("trust", trust), ("vault", vault)]);
    let ready = checks.values().all(Option::is_none);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, checks })).into_response()
}

async fn ledger(daemon: &Daemon) -> Option<Failure> {
    let policy = tokio::time::timeout(CHECK_TIMEOUT, daemon.records.policy(&GetPolicy {})).await;
    match policy {
        Ok(Ok(policy)) if policy.is_member(&daemon.records.actor().msp_id) => None,
        Ok(Ok(_)) => Some(Failure::new("NOT_A_MEMBER", "ready", "have the policy name this hospital")),
        Ok(Err(error)) => Some(told(&error)),
        Err(_) => Some(silent("LEDGER_SILENT", "check the hospital's peer and chaincode service")),
    }
}

async fn vault(daemon: &Daemon) -> Option<Failure> {
    let vault = Arc::clone(&daemon.custody.vault);
    let fix = "check the vault's disk, free space and permissions";
    checked("VAULT_FAILED", fix, move || vault.probe().is_ok()).await
}

async fn store(daemon: &Daemon) -> Option<Failure> {
    let store = Arc::clone(&daemon.custody.store);
    let fix = "check the hospital store's disk and permissions";
    checked("STORE_FAILED", fix, move || store.probe().is_ok()).await
}

async fn checked(
    code: &'static str,
    fix: &'static str,
    works: impl FnOnce() -> bool + Send + 'static,
) -> Option<Failure> {
    match tokio::time::timeout(CHECK_TIMEOUT, tokio::task::spawn_blocking(works)).await {
        Ok(Ok(true)) => None,
        Ok(_) => Some(Failure::new(code, "ready", fix)),
        Err(_) => Some(silent(code, fix)),
    }
}

fn silent(code: &'static str, fix: &'static str) -> Failure {
    Failure::new(code, "ready", fix).retryable()
}
