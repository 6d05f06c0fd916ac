//! Two organisations with a chaincode of notes on their channel.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use caretrail_tests::fabric::programs;
use caretrail_tests::stage::Stage;
use caretrail_tests::telling::World;
use hlf_gateway::{Contract, Credentials, Deadlines, Gateway, Identity, KeySigner, MspFolder};
use hlf_network::Event;
use hlf_network::builder::BuilderProgram;
use hlf_network::ca::DevelopmentCa;
use hlf_network::fabric::{Search, default_cache_dir};
use hlf_network::network::{ChaincodeProgram, Network, Options};
use hlf_network::profile::Profile;
use hlf_network::spec::{Consortium, DEFAULT, NodeOu, User, UserKey};

/// What goes onto the channel beside the default consortium.
const CHAINCODE: &str = r#"
    [chaincode]
    name = "notes"
    label = "notes_1"

    [[chaincode.collections]]
    name = "of_north"
    members = ["north"]
    endorsement = "'NorthMSP.peer'"
"#;

/// North has a second peer, whose gateway runs few calls at a time.
const PEERS_OF_NORTH: &str = r#"peers = ["peer0", "peer1"]
gateway_concurrency = { peer1 = 10 }"#;

/// The chaincode's name.
pub(crate) const NOTES: &str = "notes";

/// A network that stands, with notes on its channel.
pub(crate) struct Notes {
    pub(crate) network: Network,
    options: Options,
    /// A folder for files of the acts.
    pub(crate) folder: PathBuf,
}

impl World for Notes {
    async fn stand_up(stage: &Stage) -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let document = match set("HLF_NETWORK_FABRIC") {
            Some(release) => DEFAULT.replacen("3.1.1", &release, 1),
            None => DEFAULT.to_owned(),
        };
        let document = document.replacen(r#"peers = ["peer0"]"#, PEERS_OF_NORTH, 1);
        let mut spec = Consortium::parse(&format!("{document}\n{CHAINCODE}")).unwrap();
        if let Some(orderers) = set("HLF_NETWORK_ORDERERS") {
            spec.set_orderers(orderers.parse().unwrap()).unwrap();
        }
        programs(&spec).await;
        Self::standing(&stage.folder().join("network"), spec, stage.folder()).await
    }
}

impl Notes {
    /// A network of its own, whose programs are there.
    pub(crate) async fn standing(at: &Path, spec: Consortium, folder: &Path) -> Self {
        let itself = std::env::current_exe().unwrap();
        // South's service says of itself that it is another, so that results can be made to differ.
        let service = |origin: &str| ChaincodeProgram {
            program: itself.clone(),
            args: vec!["chaincode".into()],
            env: BTreeMap::from([("NOTES_ORIGIN".to_owned(), origin.into())]),
        };
        let options = Options {
            binaries: Search::from_environment(spec.fabric, default_cache_dir().unwrap()),
            builder: BuilderProgram { program: itself.clone(), args: vec!["builder".to_owned()] },
            chaincode: Some(service("north")),
            chaincode_of: BTreeMap::from([("south".to_owned(), service("south, not north"))]),
        };
        let network = Network::new(at, spec).unwrap();
        let notes = Self { network, options, folder: folder.to_owned() };
        notes.up().await;
        notes
    }

    /// Makes everything run that does not.
    pub(crate) async fn up(&self) {
        if let Err(error) = self.network.up(&self.options, &|event: &Event<'_>| eprintln!("{event:?}")).await
        {
            panic!("{}", told(&error));
        }
    }

    /// Whether the network is of Fabric 3 or newer.
    pub(crate) fn is_v3(&self) -> bool {
        self.network.spec().fabric.is_v3()
    }

    /// The channel's name.
    pub(crate) fn channel(&self) -> &str {
        &self.network.spec().channel.name
    }

    pub(crate) fn profile(&self, organization: &str) -> Profile {
        self.network.profile(self.network.spec().organization(organization).unwrap()).unwrap()
    }

    pub(crate) fn ca(&self, organization: &str) -> DevelopmentCa {
        self.network.ca(self.network.spec().organization(organization).unwrap()).unwrap()
    }

    /// A user's credentials, as their MSP folder has them.
    pub(crate) fn credentials(&self, organization: &str, user: &str) -> Credentials {
        let profile = self.profile(organization);
        MspFolder::open(profile.msp_folder(user).unwrap(), &profile.msp_id).unwrap().into_credentials()
    }

    /// A gateway of an organisation's own peer, used by anybody.
    pub(crate) async fn gateway_as(&self, organization: &str, credentials: Credentials) -> Gateway {
        let endpoint = self.profile(organization).gateway().unwrap();
        Gateway::connect(&endpoint, credentials, Deadlines::default()).await.unwrap()
    }

    /// A gateway of an organisation's own peer, used by one of its users.
    pub(crate) async fn gateway(&self, organization: &str, user: &str) -> Gateway {
        self.gateway_as(organization, self.credentials(organization, user)).await
    }

    /// The chaincode as North's first user sees it.
    pub(crate) async fn notes(&self) -> Contract {
        self.gateway("north", "User1").await.contract(self.channel(), NOTES)
    }

    /// Issues a client of North with a key of a kind, once, and gives the folder of its MSP.
    pub(crate) fn enrolled(&self, name: &str, key: UserKey) -> PathBuf {
        let ca = self.ca("north");
        let folder = ca.user_folder(name);
        if !folder.exists() {
            let user = User {
                name: name.to_owned(),
                node_ou: NodeOu::Client,
                common_name: None,
                attributes: BTreeMap::new(),
                key,
            };
            ca.issue_user(&user, None).unwrap();
        }
        folder.join("msp")
    }

    /// Kinds of key that the network's release accepts.
    pub(crate) fn keys(&self) -> Vec<UserKey> {
        match self.is_v3() {
            true => vec![UserKey::P256, UserKey::P384, UserKey::Ed25519],
            false => vec![UserKey::P256, UserKey::P384],
        }
    }
}

/// Certificate and key in an MSP folder, without any check.
pub(crate) fn certificate_and_key(msp: &Path) -> (String, String) {
    let only = |folder: &str| {
        let mut files = fs::read_dir(msp.join(folder)).unwrap();
        fs::read_to_string(files.next().unwrap().unwrap().path()).unwrap()
    };
    (only("signcerts"), only("keystore"))
}

/// Credentials from an MSP folder, without any check.
pub(crate) fn unchecked(msp: &Path, msp_id: &str) -> Credentials {
    let (certificate_pem, key) = certificate_and_key(msp);
    let identity = Identity { msp_id: msp_id.to_owned(), certificate_pem };
    Credentials::new(identity, KeySigner::from_pem(&key).unwrap())
}

/// An error with everything that caused it.
pub(crate) fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        text.push_str(&format!(": {cause}"));
        at = cause.source();
    }
    text
}
