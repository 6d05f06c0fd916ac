//! A process, with everything that it needs on the machine where it will run.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Export, ExportError, Format, Paths};
use crate::builder::{self, BuilderProgram, Values};
use crate::files::{self, FileError};
use crate::layout::Layout;
use crate::network::{Network, chaincode_service};
use crate::node::{self, ADMIN, CHAINCODE, LISTEN, OPERATIONS};
use crate::overlay::Overlay;
use crate::ports::{Place, Ports};
use crate::spec::{ORDERING, Organization};
use crate::{orderer, peer};

/// The port of the operations endpoint in a container, and of an orderer's admin endpoint.
pub(super) const OPERATIONS_PORT: u16 = 9443;
const ADMIN_PORT: u16 = 9444;
const DIALLED_PORT: u16 = 7052;
pub(super) const CHAINCODE_PORT: u16 = 9999;

/// The names of keys, as processes are shown them.
const SIGNING_KEY: &str = "signing.pem";
const TLS_KEY: &str = "tls.pem";
const CHAINCODE_CLIENT_KEY: &str = "chaincode-client.pem";

/// What kind of process is exported: a CA stays where its keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Orderer,
    Peer,
    Chaincode,
}

/// A process as it is to run.
pub(super) struct Workload {
    /// Its host name.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Short name of its organisation.
    pub(super) organization: String,
    pub(super) msp_id: String,
    /// File name of its program.
    pub(super) program: String,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    /// Its configuration and certificates, by paths in the folder of configuration.
    pub(super) files: BTreeMap<PathBuf, Content>,
    pub(super) secrets: Vec<Secret>,
    /// Whether it keeps data.
    pub(super) keeps_data: bool,
    /// What it listens for, and where.
    pub(super) listens: Vec<(&'static str, SocketAddr)>,
    /// Where the others find it, of nodes.
    pub(super) public: Option<String>,
}

/// A file's content.
#[derive(Clone)]
pub(super) struct Content {
    pub(super) mode: u32,
    pub(super) bytes: Vec<u8>,
}

/// A key that a process is shown.
pub(super) struct Secret {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    /// The folder in the folder of configuration where Fabric looks for it, when that is no matter of configuration: peers of
    /// 3.1 pass over `peer.BCCSP`.
    pub(super) keystore: Option<PathBuf>,
}

/// The machine on which processes will run, as a format arranges it.
pub(super) struct Site<'e> {
    paths: &'e Paths,
    format: Format,
}

impl<'e> Site<'e> {
    pub(super) fn new(export: &'e Export) -> Self {
        Self { paths: &export.paths, format: export.format }
    }

    /// The folder of a process's keys.
    pub(super) fn keys(&self, name: &str) -> PathBuf {
        match self.format {
            Format::Systemd => self.paths.keys.join(unit(name)),
            Format::Kubernetes | Format::Compose => self.paths.keys.join("hlf"),
        }
    }

    /// The folder of a process's data.
    pub(super) fn data(&self, name: &str) -> PathBuf {
        self.paths.data.join(name)
    }

    fn in_containers(&self) -> bool {
        self.format != Format::Systemd
    }

    /// Where peers find their organisation's chaincode service, when that is another place than here.
    fn chaincode_address(&self, name: &str) -> Option<String> {
        match self.format {
            Format::Systemd => None,
            // It shares the peer's pod.
            Format::Kubernetes => Some(format!("127.0.0.1:{CHAINCODE_PORT}")),
            Format::Compose => Some(format!("{name}:{CHAINCODE_PORT}")),
        }
    }

    /// Where processes listen in containers: at the same ports in each.
    fn listens(&self, kind: Kind, public_port: u16) -> BTreeMap<&'static str, SocketAddr> {
        let any = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match kind {
            Kind::Peer => BTreeMap::from([
                (LISTEN, any(public_port)),
                (OPERATIONS, any(OPERATIONS_PORT)),
                // Nobody dials it: chaincode is a service.
                (CHAINCODE, here(DIALLED_PORT)),
            ]),
            Kind::Orderer => BTreeMap::from([
                (LISTEN, any(public_port)),
                (OPERATIONS, any(OPERATIONS_PORT)),
                (ADMIN, any(ADMIN_PORT)),
            ]),
            Kind::Chaincode => match self.format {
                Format::Kubernetes => BTreeMap::from([(LISTEN, here(CHAINCODE_PORT))]),
                _ => BTreeMap::from([(LISTEN, any(CHAINCODE_PORT))]),
            },
        }
    }
}

/// The name of a process's unit.
pub(super) fn unit(name: &str) -> String {
    format!("hlf-{name}.service")
}

/// Every process that is here, of the organisation that is asked for.
pub(super) fn of(network: &Network, export: &Export, site: &Site<'_>) -> Result<Vec<Workload>, ExportError> {
    let wanted = |name: &str| export.organization.as_deref().is_none_or(|wanted| wanted == name);
    let spec = network.spec();
    let ports = network.ports()?;
    let maker = Maker { network, export, site, there: Layout::new(site.paths.config.clone()) };
    let mut workloads = Vec::new();
    if network.holds_ordering() && wanted(ORDERING) {
        for consenter in &spec.orderer.consenters {
            let endpoint = spec.orderer.endpoints.get(consenter);
            let field = format!("orderer.endpoints.{consenter}");
            let host = spec.orderer.host(consenter);
            let ports = maker.placed(&ports, Kind::Orderer, &host, endpoint.map(|at| at.port), field)?;
            workloads.push(maker.orderer(host, &ports)?);
        }
    }
    for organization in network.own_organizations().filter(|organization| wanted(&organization.name)) {
        for name in &organization.peers {
            let endpoint = organization.endpoints.get(name);
            let field = format!("organizations.{}.endpoints.{name}", organization.name);
            let host = organization.host(name);
            let ports = maker.placed(&ports, Kind::Peer, &host, endpoint.map(|at| at.port), field)?;
            workloads.push(maker.peer(organization, host, &ports)?);
        }
        workloads.extend(maker.chaincode(organization, &ports)?);
    }
    Ok(workloads)
}

struct Maker<'m> {
    network: &'m Network,
    export: &'m Export,
    site: &'m Site<'m>,
    there: Layout,
}

impl Maker<'_> {
    /// The ports with a node where it will listen.
    fn placed(
        &self,
        ports: &Ports,
        kind: Kind,
        host: &str,
        public_port: Option<u16>,
        field: String,
    ) -> Result<Ports, ExportError> {
        if !self.site.in_containers() {
            return Ok(ports.clone());
        }
        let usual = if kind == Kind::Peer { 7051 } else { 7050 };
        let missing = || ExportError::NoEndpoint { host: host.to_owned(), field, port: usual };
        let port = public_port.ok_or_else(missing)?;
        let public = ports.place(host).and_then(|place| place.public.clone());
        Ok(ports.clone().with(host, Place { public, listens: self.site.listens(kind, port) }))
    }

    fn orderer(&self, host: String, ports: &Ports) -> Result<Workload, ExportError> {
        let spec = &self.network.spec().orderer;
        let layout = self.network.layout();
        let node = layout.node(&host);
        let mut config = Overlay::parse(&configuration(&node.join(orderer::CONFIG))?)?;
        orderer::configure(&mut config, spec, &host, &self.there, ports)?;
        let (keys, data) = (self.site.keys(&host), self.site.data(&host));
        let tls_key = json!(keys.join(TLS_KEY));
        for path in ["General.TLS", "Admin.TLS", "Operations.TLS"] {
            config.set(&format!("{path}.PrivateKey"), tls_key.clone())?;
        }
        config.set("General.Cluster.ClientPrivateKey", tls_key)?;
        orderer::keep_data(&mut config, spec, &data)?;
        let home = orderer::folder(layout, spec, &host);
        let mut files = self.certificates(&home)?;
        files.insert(self.inside(&node.join(orderer::CONFIG))?, public(config.to_yaml()?.into_bytes()));
        Ok(Workload {
            kind: Kind::Orderer,
            organization: ORDERING.to_owned(),
            msp_id: spec.msp_id.clone(),
            program: "orderer".to_owned(),
            args: Vec::new(),
            env: BTreeMap::from([("FABRIC_CFG_PATH".to_owned(), text(&self.there(&node)?)?)]),
            files,
            secrets: self.node_keys(&home)?,
            keeps_data: true,
            listens: listens(ports, &host, node::OF_ORDERER)?,
            public: Some(node::public(ports, &host)?.to_string()),
            name: host,
        })
    }

    fn peer(
        &self,
        organization: &Organization,
        host: String,
        ports: &Ports,
    ) -> Result<Workload, ExportError> {
        let layout = self.network.layout();
        let node = layout.node(&host);
        let scripts = node.join("builder");
        let mut config = Overlay::parse(&configuration(&node.join("core.yaml"))?)?;
        peer::configure(&mut config, organization, &host, &self.there, ports, &self.there(&scripts)?)?;
        let (keys, data) = (self.site.keys(&host), self.site.data(&host));
        config
            .set("peer.tls.key.file", json!(keys.join(TLS_KEY)))?
            .set("operations.tls.key.file", json!(keys.join(TLS_KEY)))?
            .set("peer.fileSystemPath", json!(data))?
            .set("ledger.snapshots.rootDir", json!(data.join("snapshots")))?;
        let home = peer::folder(layout, organization, &host);
        let mut files = self.certificates(&home)?;
        let mut secrets = self.node_keys(&home)?;
        self.successors(&node, &mut config, &mut files)?;
        files.insert(self.inside(&node.join("core.yaml"))?, public(config.to_yaml()?.into_bytes()));

        // The builder, with values of this peer's own: the key in them is shown to this peer alone.
        let values_file = node.join("chaincode-values.json");
        for (phase, script) in builder::scripts(&self.builder(), &self.there(&values_file)?) {
            let content = Content { mode: files::PROGRAM, bytes: script.into_bytes() };
            files.insert(self.inside(&scripts.join("bin").join(phase.as_str()))?, content);
        }
        let (_, client) = self.network.chaincode_tls(organization);
        let address = match self.site.chaincode_address(&chaincode_service(organization)) {
            Some(address) => address,
            None => node::loopback(ports, &self.network.chaincode_place(organization), LISTEN)?,
        };
        for path in [&client.roots, &client.certificate] {
            files.insert(self.inside(path)?, public(bytes(path)?));
        }
        secrets.push(Secret { name: CHAINCODE_CLIENT_KEY, bytes: bytes(&client.key)?, keystore: None });
        let values = Values {
            address,
            root_cert: self.there(&client.roots)?,
            client_cert: self.there(&client.certificate)?,
            client_key: keys.join(CHAINCODE_CLIENT_KEY),
        };
        let values = serde_json::to_vec_pretty(&values).unwrap_or_default();
        files.insert(self.inside(&values_file)?, public(values));
        Ok(Workload {
            kind: Kind::Peer,
            organization: organization.name.clone(),
            msp_id: organization.msp_id.clone(),
            program: "peer".to_owned(),
            args: vec!["node".to_owned(), "start".to_owned()],
            env: BTreeMap::from([("FABRIC_CFG_PATH".to_owned(), text(&self.there(&node)?)?)]),
            files,
            secrets,
            keeps_data: true,
            listens: listens(ports, &host, node::OF_PEER)?,
            public: Some(node::public(ports, &host)?.to_string()),
            name: host,
        })
    }

    fn chaincode(&self, organization: &Organization, ports: &Ports) -> Result<Option<Workload>, ExportError> {
        let (Some(program), Some(service)) =
            (&self.export.chaincode, self.network.profile(organization)?.chaincode_service)
        else {
            return Ok(None);
        };
        let name = chaincode_service(organization);
        let (server, _) = self.network.chaincode_tls(organization);
        let listen = match self.site.listens(Kind::Chaincode, CHAINCODE_PORT).remove(LISTEN) {
            Some(address) if self.site.in_containers() => address,
            _ => node::listen(ports, &self.network.chaincode_place(organization), LISTEN)?,
        };
        let mut env = BTreeMap::from([
            ("CHAINCODE_ID".to_owned(), service.package_id),
            ("CHAINCODE_SERVER_ADDRESS".to_owned(), listen.to_string()),
            ("CHAINCODE_TLS_DISABLED".to_owned(), "false".to_owned()),
            ("CHAINCODE_TLS_KEY".to_owned(), text(&self.site.keys(&name).join(TLS_KEY))?),
            ("CHAINCODE_TLS_CERT".to_owned(), text(&self.there(&server.certificate)?)?),
            ("CHAINCODE_CLIENT_CA_CERT".to_owned(), text(&self.there(&server.roots)?)?),
        ]);
        for (name, value) in &program.env {
            env.insert(name.clone(), text(value.as_ref())?);
        }
        let mut files = BTreeMap::new();
        for path in [&server.certificate, &server.roots] {
            files.insert(self.inside(path)?, public(bytes(path)?));
        }
        let args = program.args.iter().map(|word| text(word.as_ref())).collect::<Result<_, _>>()?;
        let file = program.program.file_name().unwrap_or_default();
        Ok(Some(Workload {
            kind: Kind::Chaincode,
            organization: organization.name.clone(),
            msp_id: organization.msp_id.clone(),
            program: text(file.as_ref())?,
            args,
            env,
            files,
            secrets: vec![Secret { name: TLS_KEY, bytes: bytes(&server.key)?, keystore: None }],
            keeps_data: false,
            listens: vec![(LISTEN, listen)],
            public: None,
            name,
        }))
    }

    /// The builder's program where it will be.
    fn builder(&self) -> BuilderProgram {
        let BuilderProgram { program, args } = &self.export.builder;
        let program = self.site.paths.programs.join(program.file_name().unwrap_or_default());
        BuilderProgram { program, args: args.clone() }
    }

    /// Ordering nodes that left, with the certificates of those to ask instead.
    fn successors(
        &self,
        node: &Path,
        config: &mut Overlay,
        files: &mut BTreeMap<PathBuf, Content>,
    ) -> Result<(), ExportError> {
        let mut successors = peer::kept_successors(node)?;
        if successors.is_empty() {
            return Ok(());
        }
        for successor in &mut successors {
            files.insert(self.inside(successor.roots())?, public(bytes(successor.roots())?));
            successor.set_roots(self.there(successor.roots())?);
        }
        config.set("peer.deliveryclient.addressOverrides", json!(successors))?;
        Ok(())
    }

    /// Everything of a node's folder of keys and certificates but the keys.
    fn certificates(&self, home: &Path) -> Result<BTreeMap<PathBuf, Content>, ExportError> {
        let mut found = BTreeMap::new();
        let mut folders = vec![home.join("msp"), home.join("tls")];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).map_err(|e| FileError::new(&folder, "read", e))?;
            for entry in entries {
                let path = entry.map_err(|e| FileError::new(&folder, "read", e))?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let content = bytes(&path)?;
                // By what it is and not by its name: a key that somebody put elsewhere does not slip through.
                if !holds_key(&content) {
                    found.insert(self.inside(&path)?, public(content));
                }
            }
        }
        Ok(found)
    }

    /// The keys of a node, from its folder of keys and certificates.
    fn node_keys(&self, home: &Path) -> Result<Vec<Secret>, ExportError> {
        let keystore = home.join("msp/keystore");
        let mut names: Vec<PathBuf> = fs::read_dir(&keystore)
            .map_err(|e| FileError::new(&keystore, "read", e))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        names.sort();
        let signing = names.first().cloned().unwrap_or_else(|| keystore.join("priv_sk"));
        Ok(vec![
            Secret { name: SIGNING_KEY, bytes: bytes(&signing)?, keystore: Some(self.inside(&keystore)?) },
            Secret { name: TLS_KEY, bytes: bytes(&home.join("tls/server.key"))?, keystore: None },
        ])
    }

    /// A path of the state folder as one in the folder of configuration.
    fn inside(&self, path: &Path) -> Result<PathBuf, ExportError> {
        let inside = path.strip_prefix(self.network.layout().root());
        Ok(inside.map_err(|_| ExportError::Outside(path.to_owned()))?.to_owned())
    }

    /// Where a file of the state folder will be.
    fn there(&self, path: &Path) -> Result<PathBuf, ExportError> {
        Ok(self.site.paths.config.join(self.inside(path)?))
    }
}

/// The configuration that `up` wrote for a node.
fn configuration(path: &Path) -> Result<String, ExportError> {
    if !path.exists() {
        return Err(ExportError::NeverUp);
    }
    Ok(files::read(path)?)
}

fn listens(
    ports: &Ports,
    host: &str,
    purposes: &[&'static str],
) -> Result<Vec<(&'static str, SocketAddr)>, ExportError> {
    purposes.iter().map(|purpose| Ok((*purpose, node::listen(ports, host, purpose)?))).collect()
}

fn holds_key(content: &[u8]) -> bool {
    String::from_utf8_lossy(content).contains("PRIVATE KEY-----")
}

fn public(bytes: Vec<u8>) -> Content {
    Content { mode: files::PUBLIC, bytes }
}

fn bytes(path: &Path) -> Result<Vec<u8>, ExportError> {
    Ok(fs::read(path).map_err(|e| FileError::new(path, "read", e))?)
}

fn text(path: &Path) -> Result<String, ExportError> {
    path.to_str().map(ToOwned::to_owned).ok_or_else(|| ExportError::NotText(path.to_owned()))
}
