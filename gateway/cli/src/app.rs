//! What every command starts from: who acts, where the state is, and how things are said.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use caretrail_model::ids::{Actor, MspId, PatientId};
use caretrail_model::label::Label;
use caretrail_model::role::Role;
use caretrail_model::tag::TagSet;
use caretrail_records::certificate::EnrolmentCertificate;
use caretrail_records::hospital::HospitalStore;
use caretrail_records::index::BlockIndex;
use caretrail_records::storage_key::StorageKey;
use caretrail_records::vault::FolderVault;
use caretrail_records::{Committed, Custody, LedgerName, Records, UnderWay};
use hlf_gateway::{Deadlines, Gateway, MspFolder};
use hlf_network::Progress;
use hlf_network::network::Network;
use hlf_network::profile::Profile;
use hlf_network::spec::Part;
use serde::Serialize;

use crate::failure::{Exit, Invalid};
use crate::options::Global;
use crate::printer::Printer;
use crate::progress::Steps;

/// Name of the state folder, as it is looked for upwards.
pub(crate) const STATE: &str = ".caretrail";
/// Name of a hospital's own document, which lies beside its state folder.
pub(crate) const PART: &str = "organization.toml";

/// What the global options say.
#[derive(Clone, Debug)]
pub(crate) struct App {
    state: PathBuf,
    /// The hospital's own document.
    part: Option<PathBuf>,
    identity: Option<String>,
    profile: Option<PathBuf>,
    data: Option<PathBuf>,
    storage_key: Option<PathBuf>,
    pub(crate) printer: Printer,
    /// What was sent to the channel and is not answered yet.
    pub(crate) under_way: Arc<UnderWay>,
}

/// An identity that acts on a channel.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) records: Records,
    pub(crate) profile: Profile,
    /// The identity's folder, with `msp` and `tls` in it.
    pub(crate) folder: PathBuf,
    /// The hospital's own data.
    pub(crate) data: PathBuf,
    /// Where the key of its store is.
    storage_key: PathBuf,
}

/// An identity and the profile that it acts with.
#[derive(Debug)]
struct Identity {
    msp_folder: PathBuf,
    profile: Profile,
}

impl App {
    pub(crate) fn new(global: Global) -> Self {
        let beside = || Some(nearest()?.join(PART)).filter(|file| file.is_file());
        let part = if global.state.is_some() { global.part } else { global.part.or_else(beside) };
        let state = global.state.or_else(|| part.as_deref().map(state_of_part));
        Self {
            state: state.unwrap_or_else(nearest_state),
            part,
            identity: global.identity,
            profile: global.profile,
            data: global.data,
            storage_key: global.storage_key,
            under_way: Arc::default(),
            printer: Printer::new(global.format, global.quiet),
        }
    }

    /// The same state, another identity.
    pub(crate) fn acting_as(&self, identity: &str) -> Self {
        let identity = Some(identity.to_owned());
        Self { identity, profile: None, data: None, storage_key: None, ..self.clone() }
    }

    /// The hospital's own document, where each hospital has its own part.
    pub(crate) fn part(&self) -> Option<&Path> {
        self.part.as_deref()
    }

    /// The folder of everything.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// Whether commands run from here use this state folder without being told to.
    pub(crate) fn state_is_found_from_here(&self) -> bool {
        let given = std::env::var_os("CARETRAIL_STATE").map_or_else(nearest_state, PathBuf::from);
        std::path::absolute(&self.state).ok() == std::path::absolute(given).ok()
    }

    /// The folder of the network.
    pub(crate) fn network_folder(&self) -> PathBuf {
        self.state.join("network")
    }

    /// The folder of a hospital's own data.
    pub(crate) fn hospital_folder(&self, organization: &str) -> PathBuf {
        self.data.clone().unwrap_or_else(|| self.state.join("hospitals").join(organization))
    }

    /// The file of the key of the store in a hospital's folder.
    fn storage_key_of(&self, data: &Path) -> PathBuf {
        self.storage_key.clone().unwrap_or_else(|| data.join("storage.key"))
    }

    /// A receiver of long work's steps.
    pub(crate) fn progress(&self) -> impl Progress + use<> {
        Steps::new(self.printer)
    }

    /// Connects as the identity that the options name.
    pub(crate) async fn session(&self) -> anyhow::Result<Session> {
        let name = self.identity.as_deref().ok_or_else(|| {
            Invalid(
                "no identity is named: give --identity ORGANISATION/NAME (such as `north/service`), or an MSP folder \
                 with --profile"
                    .to_owned(),
            )
        })?;
        let Identity { msp_folder, profile } = self.identity(name)?;
        let credentials = MspFolder::open(&msp_folder, &profile.msp_id)?.into_credentials();
        let ledger = ledger(&profile)?;
        let gateway = Gateway::connect(&profile.gateway()?, credentials, Deadlines::default()).await?;
        let records = Records::new(&gateway, ledger)?.telling(Arc::clone(&self.under_way));
        let folder = msp_folder.parent().map_or_else(|| msp_folder.clone(), Path::to_owned);
        let data = self.hospital_folder(&profile.organization);
        let storage_key = self.storage_key_of(&data);
        Ok(Session { records, profile, folder, data, storage_key })
    }

    /// The store of the hospital whose identity the options name, without a connection; nothing when none is named, or
    /// when it has no store yet.
    pub(crate) fn own_store(&self) -> anyhow::Result<Option<(MspId, HospitalStore)>> {
        let Some(name) = self.identity.as_deref() else { return Ok(None) };
        let profile = self.identity(name)?.profile;
        let data = self.hospital_folder(&profile.organization);
        let file = data.join("hospital.sqlite");
        if !file.is_file() {
            return Ok(None);
        }
        let key = StorageKey::load(&self.storage_key_of(&data))?;
        Ok(Some((profile.msp_id.parse()?, HospitalStore::open(&file, key, &ledger(&profile)?)?)))
    }

    /// Who an identity in the state folder is, by `ORGANISATION/NAME`.
    pub(crate) fn actor_of(&self, name: &str) -> anyhow::Result<Actor> {
        Ok(self.enrolled(name)?.0)
    }

    /// Who an identity is, and in which role.
    pub(crate) fn enrolled(&self, name: &str) -> anyhow::Result<(Actor, Role)> {
        let Identity { msp_folder, profile } = self.identity(name)?;
        let msp = MspFolder::open(&msp_folder, &profile.msp_id)?;
        let certificate = EnrolmentCertificate::from_pem(&msp.identity().certificate_pem)?;
        let msp_id: MspId = profile.msp_id.parse()?;
        Ok((certificate.actor(&msp_id), certificate.role))
    }

    /// What was committed: its reply as data, where it is as talk.
    pub(crate) fn committed<R: Serialize>(&self, committed: &Committed<R>) -> anyhow::Result<Exit> {
        self.printer.data(&Shown::new(committed))?;
        Ok(Exit::Done)
    }

    fn identity(&self, name: &str) -> anyhow::Result<Identity> {
        if let Some(file) = &self.profile {
            return Ok(Identity { msp_folder: PathBuf::from(name), profile: Profile::read(file)? });
        }
        let Some((organization, user)) = name.split_once('/') else {
            let problem =
                format!("identity `{name}` is no `ORGANISATION/NAME`; an MSP folder needs --profile too");
            return Err(Invalid(problem).into());
        };
        let network = Network::existing(&self.network_folder())
            .with_context(|| format!("identity `{name}` cannot be looked up"))?;
        let Some(organization) = network.spec().organization(organization) else {
            let known: Vec<_> = network.spec().organizations.iter().map(|o| o.name.as_str()).collect();
            let problem =
                format!("there is no organisation `{organization}`: there are {}", known.join(", "));
            return Err(Invalid(problem).into());
        };
        let msp_folder = network.layout().user(organization, user).join("msp");
        if !msp_folder.is_dir() {
            let problem = format!(
                "there is no identity `{name}`: issue one with `caretrail identity issue {name} --role …`"
            );
            return Err(Invalid(problem).into());
        }
        Ok(Identity { msp_folder, profile: network.profile(organization)? })
    }
}

impl Session {
    /// The hospital's vault and store.
    pub(crate) fn custody(&self) -> anyhow::Result<Custody> {
        make_private(&self.data)?;
        let vault = FolderVault::open(self.data.join("vault"))?;
        let file = self.data.join("hospital.sqlite");
        // A store that is there was made with a key that is somewhere: another one opens nothing of it.
        let key = match file.exists() {
            true => StorageKey::load(&self.storage_key)?,
            false => StorageKey::load_or_create(&self.storage_key)?,
        };
        let store = HospitalStore::open(&file, key, self.records.ledger())?;
        Ok(Custody::new(vault, store))
    }

    /// Labels of this hospital, blinded for a patient's statement.
    pub(crate) fn blind(
        &self,
        custodian: Option<&MspId>,
        patient: &PatientId,
        labels: &[Label],
    ) -> anyhow::Result<TagSet> {
        let own = &self.records.actor().msp_id;
        if let Some(other) = custodian.filter(|custodian| *custodian != own) {
            let problem = format!(
                "only {other} can blind labels of its records: have its service run `caretrail label blind --patient \
                 {patient} --label … --format json`, and give what it prints as --tags FILE"
            );
            return Err(Invalid(problem).into());
        }
        Ok(self.custody()?.store.tag_set(own, patient, labels)?)
    }

    /// The hospital's block index, to begin at a block other than the first if nothing is in it yet.
    pub(crate) fn index(&self, first_block: Option<u64>) -> anyhow::Result<Arc<BlockIndex>> {
        make_private(&self.data)?;
        let index = BlockIndex::open(&self.data.join("blocks.sqlite"), self.records.ledger())?;
        Ok(Arc::new(match first_block {
            Some(block) => index.beginning_at(block)?,
            None => index,
        }))
    }
}

/// A committed reply with its transaction and block.
#[derive(Debug, Serialize)]
struct Shown<'a, R> {
    tx_id: String,
    block: u64,
    #[serde(flatten)]
    reply: &'a R,
}

impl<'a, R> Shown<'a, R> {
    fn new(committed: &'a Committed<R>) -> Self {
        Self { tx_id: committed.tx_id.to_string(), block: committed.block, reply: &committed.reply }
    }
}

/// The chaincode that a profile names.
pub(crate) fn ledger(profile: &Profile) -> anyhow::Result<LedgerName> {
    let chaincode = profile.chaincode.as_deref().context("the profile names no chaincode")?;
    Ok(LedgerName { channel: profile.channel.parse()?, chaincode: chaincode.parse()? })
}

/// Makes a folder that only its owner reads.
pub(crate) fn make_private(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("folder `{}` cannot be made", folder.display()))
}

/// The nearest state folder upwards from here, or the one that would be made here.
fn nearest_state() -> PathBuf {
    let here = || std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    nearest().unwrap_or_else(here).join(STATE)
}

/// The nearest folder upwards from here that has a state folder or a hospital's own document.
fn nearest() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    let found = here.ancestors().find(|folder| folder.join(STATE).is_dir() || folder.join(PART).is_file());
    found.map(Path::to_owned)
}

/// The state folder that a hospital's own document names; whatever is wrong with it is told by who needs the rest.
fn state_of_part(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new(""));
    let named = std::fs::read_to_string(file).ok().and_then(|text| Part::parse(&text).ok()?.state);
    folder.join(named.unwrap_or_else(|| PathBuf::from(STATE)))
}
