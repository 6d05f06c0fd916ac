use std::path::Path;

use anyhow::Context as _;
use caretrail_model::consent::Action;
use caretrail_model::hash::sha256;
use caretrail_model::ids::Digest;
use caretrail_model::policy::{ConsortiumPolicy, Daemon, Durations, EPOCH, Member, RoleRule, Terms};
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::time::DurationMs;
use caretrail_model::webauthn::RelyingParty;
use clap::Args;
use hlf_network::network::Network;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::app::App;
use crate::arguments;
use crate::commands::serve;
use crate::failure::Exit;
use crate::provision::in_order;

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Every organisation of the network becomes a member, with its daemon where `caretrail serve` listens by \
                        default.\n\nExample:\n  caretrail policy draft > policy.json"
)]
pub(crate) struct Draft {
    /// The policy's sequence: 1 for the first.
    #[arg(long, default_value_t = 1)]
    pub(crate) sequence: u64,
    /// How long after its decision a permit can be used, 1 s to 1 h.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = arguments::duration)]
    pub(crate) permit: DurationMs,
    /// A site whose passkeys sign for patients, such as `patients.example`; may be given more than once.
    #[arg(long = "relying-party", value_name = "DOMAIN")]
    pub(crate) relying_parties: Vec<RelyingParty>,
}

impl Draft {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        app.printer.text(&format!("{}\n", serde_json::to_string_pretty(&draft(&network, &self)?)?))?;
        Ok(Exit::Done)
    }
}

/// The policy of a network's organisations.
pub(crate) fn draft(network: &Network, options: &Draft) -> anyhow::Result<ConsortiumPolicy> {
    let spec = network.spec();
    let mut members = Vec::with_capacity(spec.organizations.len());
    for organization in &spec.organizations {
        let (server, _) = network.ca(organization)?.service(serve::SERVICE)?;
        members.push(Member {
            msp_id: organization.msp_id.parse()?,
            daemon: Daemon {
                url: format!("https://localhost:{}", serve::port(network, organization)?),
                tls_ca_digest: digest_of_pem(&server.roots)?,
            },
        });
    }
    members.sort_by(|a, b| a.msp_id.cmp(&b.msp_id));
    let chaincode = spec.chaincode.as_ref().context("the network's spec names no chaincode")?;
    let policy = ConsortiumPolicy {
        sequence: options.sequence,
        channel: spec.channel.name.parse()?,
        chaincode: chaincode.name.parse()?,
        epoch: EPOCH,
        members,
        rules: vec![RoleRule {
            role: Role::Clinician,
            actions: vec![Action::Read, Action::Write],
            purposes: vec![Purpose::Treat],
            needs_relationship: false,
        }],
        durations: Durations {
            permit_ms: options.permit,
            statement_ms_max: DurationMs::from_days(7),
            consent_ms_max: DurationMs::from_days(3660),
            standing_ms_max: DurationMs::from_days(366),
        },
        terms: Some(Terms {
            break_glass_ms: DurationMs::from_secs(4 * 3600),
            relying_parties: in_order(options.relying_parties.clone()),
            ..Terms::WIDEST
        }),
    };
    policy.validate()?;
    Ok(policy)
}

/// SHA-256 of the DER of a certificate in a PEM file.
fn digest_of_pem(file: &Path) -> anyhow::Result<Digest> {
    let certificate = CertificateDer::from_pem_file(file)
        .with_context(|| format!("`{}` holds no certificate", file.display()))?;
    Ok(sha256(&certificate))
}
