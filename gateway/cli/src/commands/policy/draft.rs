use std::path::Path;

use anyhow::Context as _;
use caretrail_model::consent::Action;
use caretrail_model::hash::sha256;
use caretrail_model::ids::{Digest, MspId};
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
use crate::failure::{Exit, Invalid};
use crate::provision::in_order;

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Every organisation of the network becomes a member, with its daemon where `caretrail serve` listens by \
                        default.\n\nExamples:\n  caretrail policy draft > policy.json\n  caretrail policy draft \\\n    \
                        --purpose TREAT --purpose BTG --needs-care-relationship > policy.json"
)]
pub(crate) struct Draft {
    /// The policy's sequence: 1 for the first.
    #[arg(long, default_value_t = 1)]
    pub(crate) sequence: u64,
    /// How long after its decision a permit can be used, 1 s to 1 h.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = arguments::duration)]
    pub(crate) permit: DurationMs,
    /// Where others find a hospital's daemon, such as `NorthMSP=https://records.north.example.com:7443`; may be given once a
    /// hospital [default: `https://localhost`, for one machine].
    #[arg(long = "daemon", value_name = "MSP=URL", value_parser = daemon)]
    pub(crate) daemons: Vec<(MspId, String)>,
    /// A purpose that clinicians may ask for, where their hospital grants it to them; may be given more than once. With
    /// `BTG`, they can break the glass.
    #[arg(long = "purpose", value_name = "CODE", default_value = "TREAT")]
    pub(crate) purposes: Vec<Purpose>,
    /// Clinicians need an open care relationship with the patient (`caretrail care open`), save in emergencies.
    #[arg(long)]
    pub(crate) needs_care_relationship: bool,
    /// How long the old key can cancel the recovery of a lost one, 1 s to 30 days.
    #[arg(long, value_name = "TIME", default_value = "3d", value_parser = arguments::duration)]
    pub(crate) recovery: DurationMs,
    /// A site whose passkeys sign for patients, such as `patients.example`; may be given more than once.
    #[arg(long = "relying-party", value_name = "DOMAIN")]
    pub(crate) relying_parties: Vec<RelyingParty>,
}

impl Draft {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let network = Network::existing(&app.network_folder())?;
        app.printer.text(&format!("{}\n", serde_json::to_string_pretty(&draft(&network, &self).await?)?))?;
        Ok(Exit::Done)
    }
}

/// The policy of a network's organisations.
pub(crate) async fn draft(network: &Network, options: &Draft) -> anyhow::Result<ConsortiumPolicy> {
    let spec = network.spec();
    let mut members = Vec::with_capacity(spec.organizations.len());
    for organization in &spec.organizations {
        let (server, _) = network.service_tls(organization, serve::SERVICE).await?;
        let msp_id: MspId = organization.msp_id.parse()?;
        let url = match options.daemons.iter().find(|(of, _)| *of == msp_id) {
            Some((_, url)) => url.clone(),
            None => format!("https://localhost:{}", serve::port(network, organization)?),
        };
        members.push(Member { msp_id, daemon: Daemon { url, tls_ca_digest: digest_of_pem(&server.roots)? } });
    }
    members.sort_by(|a, b| a.msp_id.cmp(&b.msp_id));
    if let Some((stray, _)) =
        options.daemons.iter().find(|(of, _)| members.iter().all(|member| member.msp_id != *of))
    {
        let known: Vec<_> = members.iter().map(|member| member.msp_id.as_str()).collect();
        return Err(
            Invalid(format!("no organisation here is `{stray}`: there are {}", known.join(", "))).into()
        );
    }
    let chaincode = spec.chaincode.as_ref().context("the network's spec names no chaincode")?;
    let policy = ConsortiumPolicy {
        sequence: options.sequence,
        channel: spec.channel.name.parse()?,
        chaincode: chaincode.name.parse()?,
        epoch: EPOCH,
        members,
        rules: vec![RoleRule {
            role: Role::Clinician,
            actions: vec![Action::Read, Action::Write, Action::Delegate],
            purposes: in_order(options.purposes.clone()),
            needs_relationship: options.needs_care_relationship,
        }],
        durations: Durations {
            permit_ms: options.permit,
            statement_ms_max: DurationMs::from_days(7),
            consent_ms_max: DurationMs::from_days(3660),
            standing_ms_max: DurationMs::from_days(366),
        },
        terms: Some(Terms {
            recovery_ms: options.recovery,
            break_glass_ms: DurationMs::from_secs(4 * 3600),
            relying_parties: in_order(options.relying_parties.clone()),
            ..Terms::WIDEST
        }),
    };
    policy.validate()?;
    Ok(policy)
}

fn daemon(text: &str) -> Result<(MspId, String), String> {
    let (msp_id, url) = text.split_once('=').ok_or("expected `MSP=URL`, such as `NorthMSP=https://…`")?;
    let msp_id = msp_id.parse().map_err(|error| format!("{error}"))?;
    Ok((msp_id, url.to_owned()))
}

/// SHA-256 of the DER of a certificate in a PEM file.
fn digest_of_pem(file: &Path) -> anyhow::Result<Digest> {
    let certificate = CertificateDer::from_pem_file(file)
        .with_context(|| format!("`{}` holds no certificate", file.display()))?;
    Ok(sha256(&certificate))
}
