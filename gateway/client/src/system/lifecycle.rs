//! `_lifecycle`: chaincodes on peers and on channels.

use std::collections::BTreeMap;

use hlf_protos::lifecycle::{
    ApproveChaincodeDefinitionForMyOrgArgs, ChaincodeSource, CheckCommitReadinessArgs,
    CheckCommitReadinessResult, CommitChaincodeDefinitionArgs, GetInstalledChaincodePackageArgs,
    GetInstalledChaincodePackageResult, InstallChaincodeArgs, InstallChaincodeResult,
    QueryApprovedChaincodeDefinitionArgs, QueryApprovedChaincodeDefinitionResult,
    QueryApprovedChaincodeDefinitionsArgs, QueryApprovedChaincodeDefinitionsResult,
    QueryChaincodeDefinitionArgs, QueryChaincodeDefinitionResult, QueryChaincodeDefinitionsArgs,
    QueryChaincodeDefinitionsResult, QueryInstalledChaincodeArgs, QueryInstalledChaincodeResult,
    QueryInstalledChaincodesArgs, QueryInstalledChaincodesResult, chaincode_source,
};
use hlf_protos::prost::Message;
use hlf_protos::protos::CollectionConfigPackage;

use super::{SystemChaincodeError, ask};
use crate::{Contract, Endorser, Gateway, ProposalBuilder};

const LIFECYCLE: &str = "_lifecycle";

/// Chaincodes as one peer knows them, through `_lifecycle`.
///
/// ```no_run
/// # async fn show(endorser: &hlf_gateway::Endorser) -> Result<(), hlf_gateway::SystemChaincodeError> {
/// let lifecycle = endorser.lifecycle();
/// for package in lifecycle.installed().await? {
///     println!("{} {}", package.id, package.label);
/// }
/// if let Some(definition) = lifecycle.committed("main", "assets").await? {
///     println!("sequence {}, version {}", definition.sequence, definition.version);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Lifecycle {
    endorser: Endorser,
}

/// A package on a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// `label:hash`, hash being SHA-256 of the package's bytes in lower-case hex.
    pub id: String,
    /// The label that its metadata gives it.
    pub label: String,
}

/// What organisations agree on about a chaincode.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChaincodeDefinition {
    /// The name that transactions call.
    pub name: String,
    /// 1 for the first definition, and one more with every change.
    pub sequence: i64,
    /// Text of the version; of no effect but to be the same for all.
    pub version: String,
    /// Whose peers must endorse: an encoded `protos.ApplicationPolicy`; empty for the channel's own policy.
    pub validation_parameter: Vec<u8>,
    /// Its private data collections.
    pub collections: Option<CollectionConfigPackage>,
    /// Whether `Init` must be called before anything else.
    pub init_required: bool,
    /// The endorsement plugin's name; empty for Fabric's own.
    pub endorsement_plugin: String,
    /// The validation plugin's name; empty for Fabric's own.
    pub validation_plugin: String,
}

/// The transactions that bring chaincode definitions onto a channel.
///
/// Each is a proposal for [`Contract::submit`] of [`Self::contract`], signed by an admin of the organisation.
#[derive(Clone, Debug)]
pub struct LifecycleTransactions {
    contract: Contract,
}

impl Endorser {
    /// The chaincodes that this peer knows.
    pub fn lifecycle(&self) -> Lifecycle {
        Lifecycle { endorser: self.clone() }
    }
}

impl Gateway {
    /// The transactions that bring chaincode definitions onto a channel.
    pub fn lifecycle(&self, channel: impl Into<String>) -> LifecycleTransactions {
        LifecycleTransactions { contract: self.contract(channel, LIFECYCLE) }
    }
}

impl Lifecycle {
    /// Installs a package (a `.tar.gz` with `metadata.json` and `code.tar.gz`); the peer refuses one that it has.
    pub async fn install(&self, package: impl Into<Vec<u8>>) -> Result<Package, SystemChaincodeError> {
        let args = InstallChaincodeArgs { chaincode_install_package: package.into() };
        let installed: InstallChaincodeResult = self.ask("", "InstallChaincode", &args).await?;
        Ok(Package { id: installed.package_id, label: installed.label })
    }

    /// The packages on the peer.
    pub async fn installed(&self) -> Result<Vec<Package>, SystemChaincodeError> {
        let args = QueryInstalledChaincodesArgs {};
        let installed: QueryInstalledChaincodesResult =
            self.ask("", "QueryInstalledChaincodes", &args).await?;
        let packages = installed.installed_chaincodes.into_iter();
        Ok(packages.map(|package| Package { id: package.package_id, label: package.label }).collect())
    }

    /// One package on the peer, with the definitions of each channel that use it; `None` when it is not there.
    pub async fn installed_package(
        &self,
        package_id: &str,
    ) -> Result<Option<QueryInstalledChaincodeResult>, SystemChaincodeError> {
        let args = QueryInstalledChaincodeArgs { package_id: package_id.to_owned() };
        found(self.ask("", "QueryInstalledChaincode", &args).await)
    }

    /// The bytes of a package on the peer; `None` when it is not there.
    pub async fn package(&self, package_id: &str) -> Result<Option<Vec<u8>>, SystemChaincodeError> {
        let args = GetInstalledChaincodePackageArgs { package_id: package_id.to_owned() };
        let read: Result<GetInstalledChaincodePackageResult, _> =
            self.ask("", "GetInstalledChaincodePackage", &args).await;
        Ok(found(read)?.map(|read| read.chaincode_install_package))
    }

    /// A chaincode's definition in force on a channel; `None` when it has none.
    pub async fn committed(
        &self,
        channel: &str,
        name: &str,
    ) -> Result<Option<QueryChaincodeDefinitionResult>, SystemChaincodeError> {
        let args = QueryChaincodeDefinitionArgs { name: name.to_owned() };
        found(self.ask(channel, "QueryChaincodeDefinition", &args).await)
    }

    /// All definitions in force on a channel.
    pub async fn all_committed(
        &self,
        channel: &str,
    ) -> Result<QueryChaincodeDefinitionsResult, SystemChaincodeError> {
        self.ask(channel, "QueryChaincodeDefinitions", &QueryChaincodeDefinitionsArgs {}).await
    }

    /// What the caller's organisation approved of a sequence, 0 for the newest; `None` when it approved nothing.
    pub async fn approved(
        &self,
        channel: &str,
        name: &str,
        sequence: i64,
    ) -> Result<Option<QueryApprovedChaincodeDefinitionResult>, SystemChaincodeError> {
        let args = QueryApprovedChaincodeDefinitionArgs { name: name.to_owned(), sequence };
        found(self.ask(channel, "QueryApprovedChaincodeDefinition", &args).await)
    }

    /// All that the caller's organisation approved on a channel; Fabric 3.1 and later answer this.
    pub async fn all_approved(
        &self,
        channel: &str,
    ) -> Result<QueryApprovedChaincodeDefinitionsResult, SystemChaincodeError> {
        let args = QueryApprovedChaincodeDefinitionsArgs {};
        self.ask(channel, "QueryApprovedChaincodeDefinitions", &args).await
    }

    /// By MSP id, whether an organisation has approved exactly this definition.
    pub async fn readiness(
        &self,
        channel: &str,
        definition: &ChaincodeDefinition,
    ) -> Result<BTreeMap<String, bool>, SystemChaincodeError> {
        let definition = definition.clone();
        let args = CheckCommitReadinessArgs {
            sequence: definition.sequence,
            name: definition.name,
            version: definition.version,
            endorsement_plugin: definition.endorsement_plugin,
            validation_plugin: definition.validation_plugin,
            validation_parameter: definition.validation_parameter,
            collections: definition.collections,
            init_required: definition.init_required,
        };
        let ready: CheckCommitReadinessResult = self.ask(channel, "CheckCommitReadiness", &args).await?;
        Ok(ready.approvals)
    }

    async fn ask<R: Message + Default>(
        &self,
        channel: &str,
        function: &'static str,
        args: &impl Message,
    ) -> Result<R, SystemChaincodeError> {
        ask(&self.endorser, (channel, LIFECYCLE), function, [args.encode_to_vec()]).await
    }
}

impl LifecycleTransactions {
    /// The contract that submits them.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// The caller's organisation approves a definition, with the package that its peers run; without one, they
    /// endorse nothing. Peers of that organisation endorse it.
    pub fn approve(&self, definition: &ChaincodeDefinition, package_id: Option<&str>) -> ProposalBuilder {
        let definition = definition.clone();
        let source = match package_id {
            Some(package_id) => chaincode_source::Type::LocalPackage(chaincode_source::Local {
                package_id: package_id.to_owned(),
            }),
            None => chaincode_source::Type::Unavailable(chaincode_source::Unavailable {}),
        };
        let args = ApproveChaincodeDefinitionForMyOrgArgs {
            sequence: definition.sequence,
            name: definition.name,
            version: definition.version,
            endorsement_plugin: definition.endorsement_plugin,
            validation_plugin: definition.validation_plugin,
            validation_parameter: definition.validation_parameter,
            collections: definition.collections,
            init_required: definition.init_required,
            source: Some(ChaincodeSource { r#type: Some(source) }),
        };
        self.proposal("ApproveChaincodeDefinitionForMyOrg", &args)
    }

    /// Brings a definition into force; name the organisations that approved it as
    /// [`ProposalBuilder::endorsing_organizations`].
    pub fn commit(&self, definition: &ChaincodeDefinition) -> ProposalBuilder {
        let definition = definition.clone();
        let args = CommitChaincodeDefinitionArgs {
            sequence: definition.sequence,
            name: definition.name,
            version: definition.version,
            endorsement_plugin: definition.endorsement_plugin,
            validation_plugin: definition.validation_plugin,
            validation_parameter: definition.validation_parameter,
            collections: definition.collections,
            init_required: definition.init_required,
        };
        self.proposal("CommitChaincodeDefinition", &args)
    }

    fn proposal(&self, function: &str, args: &impl Message) -> ProposalBuilder {
        self.contract.proposal(function).arg(args.encode_to_vec())
    }
}

/// Makes nothing of what is not there.
fn found<T>(answer: Result<T, SystemChaincodeError>) -> Result<Option<T>, SystemChaincodeError> {
    if answer.as_ref().is_err_and(SystemChaincodeError::is_not_found) {
        return Ok(None);
    }
    answer.map(Some)
}
