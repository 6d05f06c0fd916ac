use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use hlf_network::change::{
    ConsenterEdit, Edit, MetaRule, NewConsenter, OrganizationDefinition, PolicyRule, Proposal,
};
use hlf_network::exchange::Description;
use hlf_network::network::Network;

use super::{Shown, write};
use crate::app::App;
use crate::failure::{Exit, Invalid};

#[derive(Debug, Args)]
#[command(after_help = "Several changes of one proposal come into force together.\n\nExamples:\n  \
                        caretrail network change propose faster.json --title \"Faster blocks\" --batch-timeout-ms 100\n  \
                        caretrail network change propose east.json --title \"East joins\" --add-organization east-definition.json\n  \
                        caretrail network change propose all.json --title \"All endorse\" --policy \"Application/Endorsement=ALL Endorsement\"")]
pub(crate) struct Propose {
    /// File to write; it must not exist.
    file: PathBuf,
    /// What the change is called, for those who are asked to sign.
    #[arg(long)]
    title: String,
    /// The most transactions in a block.
    #[arg(long, value_name = "N")]
    max_message_count: Option<u32>,
    /// The most bytes of transactions in a block.
    #[arg(long, value_name = "BYTES")]
    absolute_max_bytes: Option<u32>,
    /// Bytes from which on a block is closed.
    #[arg(long, value_name = "BYTES")]
    preferred_max_bytes: Option<u32>,
    /// Milliseconds that a block waits to fill.
    #[arg(long, value_name = "MS")]
    batch_timeout_ms: Option<u32>,
    /// The policy that guards a request to peers; without a policy Fabric's default is back.
    #[arg(long, value_name = "RESOURCE=[POLICY]")]
    acl: Vec<String>,
    /// A capability that all nodes must know: of `Channel`, `Orderer` or `Application`.
    #[arg(long, value_name = "SECTION=NAME")]
    capability: Vec<String>,
    /// How many child groups must satisfy their policy of a name: `ANY`, `MAJORITY` or `ALL`.
    #[arg(long, value_name = "PATH=RULE NAME")]
    policy: Vec<String>,
    /// An organisation that joins: the description that its `caretrail network describe` wrote, or the definition that
    /// `caretrail network organization` did.
    #[arg(long, value_name = "FILE")]
    add_organization: Vec<PathBuf>,
    /// MSP id of an organisation that leaves.
    #[arg(long, value_name = "MSPID")]
    remove_organization: Vec<String>,
    /// An ordering node that comes: its host, and the description that its organisation's `caretrail network describe` wrote.
    #[arg(long, value_name = "HOST=FILE")]
    add_orderer: Vec<String>,
    /// An ordering node that goes: where the channel finds it, or as of `--add-orderer`.
    #[arg(long, value_name = "HOST:PORT|HOST=FILE")]
    remove_orderer: Vec<String>,
    /// Peers by which others find an organisation's peers; none takes them away.
    #[arg(long, value_name = "MSPID=HOST:PORT,…")]
    anchor_peers: Vec<String>,
    /// An organisation's list of revoked certificates, PEM.
    #[arg(long, value_name = "MSPID=FILE")]
    revocations: Vec<String>,
    /// A further authority of an organisation that issues identities, PEM.
    #[arg(long, value_name = "MSPID=FILE")]
    add_authority: Vec<String>,
    /// A further authority of an organisation that issues TLS certificates, PEM.
    #[arg(long, value_name = "MSPID=FILE")]
    add_tls_authority: Vec<String>,
    /// An authority of an organisation that shall issue identities no longer, PEM; what it issued counts no longer.
    #[arg(long, value_name = "MSPID=FILE")]
    remove_authority: Vec<String>,
    /// An authority of an organisation that shall issue TLS certificates no longer, PEM.
    #[arg(long, value_name = "MSPID=FILE")]
    remove_tls_authority: Vec<String>,
}

impl Propose {
    pub(crate) async fn run(self, app: &App) -> anyhow::Result<Exit> {
        let edits = self.edits()?;
        if edits.is_empty() {
            return Err(Invalid("nothing is to be changed: say what, see --help".to_owned()).into());
        }
        if self.file.exists() {
            let file = self.file.display();
            return Err(
                Invalid(format!("`{file}` exists; a proposal is never written over another file")).into()
            );
        }
        let network = Network::existing(&app.network_folder())?;
        let present = network.channel_config().await?;
        let proposal = Proposal::new(&present, &self.title, &edits)?;
        if let Some(warning) = network.look_at_orderers(&proposal, &present)? {
            app.printer.say(warning);
        }
        write(&self.file, &proposal)?;
        app.printer.data(&Shown::of(&proposal, &present)?)?;
        Ok(Exit::Done)
    }

    fn edits(&self) -> anyhow::Result<Vec<Edit>> {
        let mut edits = Vec::new();
        let size = (self.max_message_count, self.absolute_max_bytes, self.preferred_max_bytes);
        if size != (None, None, None) {
            let (max_message_count, absolute_max_bytes, preferred_max_bytes) = size;
            edits.push(Edit::BatchSize { max_message_count, absolute_max_bytes, preferred_max_bytes });
        }
        edits.extend(self.batch_timeout_ms.map(|timeout_ms| Edit::BatchTimeout { timeout_ms }));
        for text in &self.acl {
            let (resource, policy) = pair(text, "--acl")?;
            let policy = Some(policy).filter(|policy| !policy.is_empty()).map(str::to_owned);
            edits.push(Edit::Acl { resource: resource.to_owned(), policy });
        }
        for text in &self.capability {
            let (section, name) = pair(text, "--capability")?;
            let section = Some(section).filter(|section| *section != "Channel").map(str::to_owned);
            edits.push(Edit::Capability { section, name: name.to_owned() });
        }
        for text in &self.policy {
            edits.push(policy(text)?);
        }
        for file in &self.add_organization {
            let text = contents(file)?;
            let definition = match Description::parse(&text) {
                Ok(description) => OrganizationDefinition::of_description(&description),
                Err(_) => OrganizationDefinition::parse(&text)
                    .map_err(|error| Invalid(format!("`{}`: {error}", file.display())))?,
            };
            edits.push(Edit::AddOrganization(Box::new(definition)));
        }
        for msp_id in &self.remove_organization {
            edits.push(Edit::RemoveOrganization { msp_id: msp_id.clone() });
        }
        edits.extend(self.orderers()?.into_iter().map(Edit::Consenter));
        for text in &self.anchor_peers {
            let (msp_id, peers) = pair(text, "--anchor-peers")?;
            let peers = peers.split(',').filter(|peer| !peer.is_empty()).map(address);
            let peers = peers.collect::<Result<Vec<_>, _>>()?;
            edits.push(Edit::AnchorPeers { msp_id: msp_id.to_owned(), peers });
        }
        for text in &self.revocations {
            let (msp_id, file) = pair(text, "--revocations")?;
            edits.push(Edit::Revocations { msp_id: msp_id.to_owned(), list_pem: contents(file.as_ref())? });
        }
        let authorities = [(&self.add_authority, false), (&self.add_tls_authority, true)];
        for (texts, tls) in authorities {
            for text in texts {
                let (msp_id, file) = pair(text, "--add-authority")?;
                let certificate_pem = contents(file.as_ref())?;
                edits.push(Edit::AddAuthority { msp_id: msp_id.to_owned(), certificate_pem, tls });
            }
        }
        for (texts, tls) in [(&self.remove_authority, false), (&self.remove_tls_authority, true)] {
            for text in texts {
                let (msp_id, file) = pair(text, "--remove-authority")?;
                let certificate_pem = contents(file.as_ref())?;
                edits.push(Edit::RemoveAuthority { msp_id: msp_id.to_owned(), certificate_pem, tls });
            }
        }
        Ok(edits)
    }

    fn orderers(&self) -> anyhow::Result<Vec<ConsenterEdit>> {
        let mut edits = Vec::new();
        for text in &self.add_orderer {
            edits.push(ConsenterEdit::Add(orderer(text, "--add-orderer")?));
        }
        for text in &self.remove_orderer {
            let address = match text.contains('=') {
                true => orderer(text, "--remove-orderer")?.address(),
                false => text.clone(),
            };
            edits.push(ConsenterEdit::Remove { address });
        }
        Ok(edits)
    }
}

fn contents(file: &std::path::Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("`{}` cannot be read", file.display()))
}

/// A node of an ordering organisation, `HOST=FILE`.
fn orderer(text: &str, option: &str) -> anyhow::Result<NewConsenter> {
    let (host, file) = pair(text, option)?;
    let description = Description::parse(&contents(file.as_ref())?)
        .map_err(|error| Invalid(format!("`{file}`: {error}")))?;
    NewConsenter::of_description(&description, host).ok_or_else(|| {
        let known: Vec<_> = description.nodes.iter().map(|node| node.host.as_str()).collect();
        Invalid(format!("`{file}` describes no ordering node `{host}`; it has {}", known.join(", "))).into()
    })
}

fn pair<'a>(text: &'a str, option: &str) -> Result<(&'a str, &'a str), Invalid> {
    text.split_once('=').ok_or_else(|| Invalid(format!("`{option} {text}` has no `=`; see --help")))
}

fn address(text: &str) -> Result<(String, u16), Invalid> {
    text.rsplit_once(':')
        .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)))
        .ok_or_else(|| Invalid(format!("`{text}` is not `HOST:PORT`")))
}

/// `Application/Endorsement=MAJORITY Endorsement`.
fn policy(text: &str) -> Result<Edit, Invalid> {
    let (path, rule) = pair(text, "--policy")?;
    let path = path.trim_start_matches("/Channel/").split('/').map(str::to_owned).collect();
    let wrong = || Invalid(format!("`{rule}` is not `ANY`, `MAJORITY` or `ALL` and a policy's name"));
    let (rule, policy) = rule.split_once(' ').ok_or_else(wrong)?;
    let rule = match rule {
        "ANY" => MetaRule::Any,
        "MAJORITY" => MetaRule::Majority,
        "ALL" => MetaRule::All,
        _ => return Err(wrong()),
    };
    Ok(Edit::Policy { path, rule: PolicyRule::Children { rule, policy: policy.to_owned() } })
}
