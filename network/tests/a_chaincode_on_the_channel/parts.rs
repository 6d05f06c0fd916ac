//! Organisations that each have their own part alone, with their own keys, in a folder of their own.
//!
//! Files that are copied from one to the other are the only way between them.

mod rotation;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hlf_gateway::{Credentials, TransactionError};
use hlf_network::change::{Edit, OrganizationDefinition, Proposal};
use hlf_network::exchange::{Description, Digest, FirstBlockError};
use hlf_network::network::{
    Agreed, ApplyError, ImportError, Imported, Network, Options, PartError, PartStanding, Renewal,
    RenewedKeys, StateError, UpError,
};
use hlf_network::spec::{Consortium, Endorsement, NodeAddress, ORDERING, Part};
use hlf_network::{Event, Quiet};

pub(crate) use rotation::a_part_joins_though_no_first_ordering_node_is_left;

use crate::bench::{Bench, marked, say, told};
use crate::shelf::{edition, has, put, ready, shelf, try_put};

/// An organisation's machine: a folder, and nothing of anybody else's.
struct Machine {
    name: String,
    bench: Bench,
    spec: Consortium,
    part: Part,
}

impl Machine {
    fn new(name: &str, spec: &Consortium) -> Self {
        Self::beside(name, spec, "")
    }

    /// Another machine that says that it is the same organisation's.
    fn beside(name: &str, spec: &Consortium, label: &str) -> Self {
        let bench = Bench::new(&format!("part-{name}{label}"));
        Self { name: name.to_owned(), bench, spec: spec.clone(), part: Part::new(name) }
    }

    /// As a new process would find it.
    fn network(&self) -> Network {
        Network::new_part(&self.bench.folder, self.spec.clone(), self.part.clone()).unwrap()
    }

    fn options(&self) -> Options {
        edition(&self.spec, std::env::current_exe().unwrap(), "first")
    }

    async fn up(&self) -> PartStanding {
        match self.network().up_part(&self.options(), &say).await {
            Ok(standing) => standing,
            Err(error) => panic!("{}: {}", self.name, told(&error)),
        }
    }

    /// What it waits for, by who has to do it.
    async fn waits_for(&self) -> Vec<String> {
        self.up().await.waiting_for.into_iter().map(|awaited| awaited.from).collect()
    }

    async fn describe(&self) -> Description {
        let described = self.network().describe(&self.options(), &say).await;
        described.unwrap_or_else(|error| panic!("{}: {}", self.name, told(&error)))
    }

    async fn import(&self, file: &Path) -> Result<Imported, ImportError> {
        self.import_with(file, None, false).await
    }

    async fn import_with(
        &self,
        file: &Path,
        digest: Option<Digest>,
        replace: bool,
    ) -> Result<Imported, ImportError> {
        let bytes = fs::read(file).unwrap();
        self.network().import(&bytes, digest, replace, &self.options(), &say).await
    }

    async fn imports(&self, file: &Path) -> Imported {
        match self.import(file).await {
            Ok(imported) => imported,
            Err(error) => panic!("{} does not take {}: {}", self.name, file.display(), told(&error)),
        }
    }

    fn admin(&self) -> Credentials {
        let network = self.network();
        let own = network.own_organizations().next();
        own.map_or_else(|| network.orderer_credentials(), |own| network.admin_credentials(own)).unwrap()
    }
}

/// What is handed over, by mail or on a stick.
struct Post {
    folder: tempfile::TempDir,
}

impl Post {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let file = self.folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        file
    }

    async fn description_of(&self, machine: &Machine) -> PathBuf {
        let description = machine.describe().await;
        self.put(&description.file_name(), description.to_text().as_bytes())
    }
}

/// Addresses of this machine that no other test has, one of each organisation.
struct Places {
    taken: Vec<std::net::TcpListener>,
}

impl Places {
    fn next(&mut self, host: &str) -> NodeAddress {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        self.taken.push(listener);
        NodeAddress { host: host.to_owned(), port }
    }
}

/// The consortium of a test, with endpoints that are not where it would listen by itself.
fn consortium(orderers: &str, members: &[&str]) -> Consortium {
    let mut spec = shelf();
    spec.set_orderers(orderers.parse().unwrap()).unwrap();
    spec.set_organizations(members).unwrap();
    let mut places = Places { taken: Vec::new() };
    for name in spec.orderer.consenters.clone() {
        spec.orderer.endpoints.insert(name, places.next("127.0.0.2"));
    }
    for (member, host) in spec.organizations.iter_mut().zip(["127.0.0.3", "localhost", "127.0.0.5"]) {
        member.endpoints.insert("peer0".to_owned(), places.next(host));
    }
    Consortium::parse(&spec.to_toml().unwrap()).unwrap()
}

/// Every private key in a folder is one of its own organisation's; returns them.
fn holds_only_own_keys(machine: &Machine) -> BTreeSet<String> {
    let own = match machine.name.as_str() {
        ORDERING => machine.spec.orderer.domain.clone(),
        name => machine.spec.organization(name).unwrap().domain.clone(),
    };
    let mut keys = BTreeSet::new();
    let mut folders = vec![machine.bench.folder.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = fs::read(&path) {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                for key in text.split("PRIVATE KEY-----").skip(1).step_by(2) {
                    let of_own =
                        path.components().any(|part| part.as_os_str().to_string_lossy().ends_with(&own));
                    assert!(of_own, "{} has the key {}", machine.name, path.display());
                    keys.insert(key.replace("\\n", "").replace(char::is_whitespace, ""));
                }
            }
        }
    }
    assert!(keys.len() >= 4, "{} has {} keys", machine.name, keys.len());
    keys
}

/// No key of one is with another.
fn share_no_key(machines: &[&Machine]) {
    let keys: Vec<_> = machines.iter().map(|machine| holds_only_own_keys(machine)).collect();
    let all: BTreeSet<&String> = keys.iter().flatten().collect();
    assert_eq!(all.len(), keys.iter().map(BTreeSet::len).sum::<usize>());
}

pub(crate) async fn organizations_stand_up_their_own_parts_and_exchange_files_alone() {
    let spec = consortium("raft:3", &["north", "south"]);
    let post = Post::new();
    let [orderer, north, mut south] = ["orderer", "north", "south"].map(|name| Machine::new(name, &spec));
    // South is found by a name, and listens at an address.
    let port = spec.organizations[1].endpoints["peer0"].port;
    let listen = format!("organization = \"south\"\n[nodes.peer0]\nlisten = \"127.0.0.1:{port}\"\n");
    south.part = Part::parse(&listen).unwrap();

    // Nobody can do anything yet, and everybody is told what is missing and from whom.
    let standing = north.up().await;
    let waits: Vec<&str> = standing.waiting_for.iter().map(|awaited| awaited.from.as_str()).collect();
    assert_eq!(waits, ["orderer", "south"]);
    assert!(standing.waiting_for[1].fix.contains("`south.organization.json`"), "{standing:?}");
    assert!(!standing.complete && standing.first_block.is_none());
    assert!(marked(&north.bench.folder).is_empty());

    let of_orderer = post.description_of(&orderer).await;
    let of_north = post.description_of(&north).await;
    let of_south = post.description_of(&south).await;
    what_does_not_fit_is_refused(&north, &spec).await;
    assert_eq!(north.imports(&of_orderer).await.missing, ["south"]);
    // The digest is read aloud: by another one the file is not taken.
    let digest = south.describe().await.digest();
    let other = north.describe().await.digest();
    let error = north.import_with(&of_south, Some(other), false).await.unwrap_err();
    assert!(matches!(error, ImportError::Digest { found, .. } if found == digest), "{}", told(&error));
    let imported = north.import_with(&of_south, Some(digest), false).await.unwrap();
    assert!(imported.new && imported.missing.is_empty());
    // A second time, and one's own: nothing new.
    assert!(!north.imports(&of_south).await.new);
    assert!(!north.imports(&of_north).await.new);
    assert_eq!(north.waits_for().await, ["one organisation"]);

    for file in [&of_north, &of_orderer] {
        south.imports(file).await;
    }
    for file in [&of_north, &of_south] {
        orderer.imports(file).await;
    }

    // One makes the first block; the others judge it.
    let (block, digest) = orderer.network().first_block(&orderer.options(), &say).await.unwrap();
    assert_eq!(orderer.network().first_block(&orderer.options(), &Quiet).await.unwrap().0, block);
    let block = post.put("consortium.block", &block);
    first_blocks_that_differ_are_refused(&north, &block).await;
    let imported = north.import_with(&block, Some(digest), false).await.unwrap();
    assert!(imported.new && imported.what == "first block of consortium");
    assert!(!north.imports(&block).await.new);
    south.imports(&block).await;

    // The ordering organisation is not up yet: the members' peers join, and wait for it.
    let standing = north.up().await;
    assert_eq!(standing.first_block, Some(digest));
    assert_eq!(standing.waiting_for[0].from, "orderer");
    let begun = marked(&north.bench.folder);
    assert_eq!(begun.len(), 1);
    assert_eq!(orderer.waits_for().await, [""; 0]);
    assert_eq!(marked(&orderer.bench.folder).len(), 3);

    // Each approves for itself, and whoever sees that enough have, commits.
    assert_eq!(north.waits_for().await, ["south"]);
    assert!(marked(&north.bench.folder).contains(&begun[0]), "what ran is left running");
    assert_eq!(south.waits_for().await, [""; 0]);
    assert_eq!(north.waits_for().await, [""; 0]);
    assert_eq!(orderer.waits_for().await, [""; 0]);
    let processes = [&north, &south].map(|machine| marked(&machine.bench.folder));
    assert_eq!(processes[0].len(), 2);

    // Again: nothing is started, nothing is made.
    let standing = north.up().await;
    assert!(standing.complete, "{standing:?}");
    assert_eq!([&north, &south].map(|machine| marked(&machine.bench.folder)), processes);

    // A transaction that both endorse.
    valid(try_put(&north.network(), "north", &["NorthMSP", "SouthMSP"], "of both").await);
    has(&south.network(), "south", "of both").await;
    for machine in [&orderer, &north, &south] {
        let status = ready(&Network::existing(&machine.bench.folder).unwrap()).await;
        assert_eq!(status.part.as_deref(), Some(machine.name.as_str()));
    }
    share_no_key(&[&orderer, &north, &south]);
    addresses_are_public_ones(&north, &spec);
    the_stock_command_line_works(&south).await;
    what_runs_is_changed_by_proposals_alone(&north).await;

    // A third member: by the same files, and the members' signatures.
    let spec = consortium_with_east(&spec);
    let east = Machine::new("east", &spec);
    let of_east = post.description_of(&east).await;
    for file in [&of_orderer, &of_north, &of_south] {
        east.imports(file).await;
    }
    east.imports(&block).await;
    assert_eq!(east.waits_for().await, ["the members"]);
    let definition = Description::parse(&fs::read_to_string(&of_east).unwrap()).unwrap();
    let edit = Edit::AddOrganization(Box::new(OrganizationDefinition::of_description(&definition)));
    let present = north.network().channel_config().await.unwrap();
    let mut proposal = Proposal::new(&present, "East joins", &[edit]).unwrap();
    proposal.sign(&present, &north.admin()).await.unwrap();
    let travelling = post.put("east.proposal.json", proposal.to_string().as_bytes());
    let mut proposal = Proposal::parse(&fs::read_to_string(&travelling).unwrap()).unwrap();
    let present = south.network().channel_config().await.unwrap();
    proposal.sign(&present, &south.admin()).await.unwrap();
    south.network().submit_change(&proposal, &south.admin(), &say).await.unwrap();
    // The ordering organisation, which has no peer, sees it too.
    let seen = orderer.network().channel_config().await.unwrap();
    assert_eq!(seen.organizations().unwrap(), ["EastMSP", "NorthMSP", "SouthMSP"]);
    assert_eq!(east.waits_for().await, [""; 0]);
    valid(try_put(&east.network(), "east", &["EastMSP", "NorthMSP"], "of east").await);
    has(&north.network(), "north", "of east").await;
    share_no_key(&[&orderer, &north, &south, &east]);

    // The members' documents follow; their parts want to know the new one.
    let north = Machine { spec, ..north };
    assert_eq!(north.waits_for().await, ["east"]);
    north.imports(&of_east).await;
    assert_eq!(north.waits_for().await, [""; 0]);

    let [orderer, south] = [orderer, south].map(|machine| Machine { spec: north.spec.clone(), ..machine });
    south.imports(&of_east).await;
    orderer.imports(&of_east).await;
    the_channel_follows_the_documents(&orderer, &north, &south).await;

    // Down and up again, and gone.
    assert_eq!(north.network().down(&say).await.unwrap(), 2);
    assert_eq!(north.waits_for().await, [""; 0]);
    put(&north.network(), "north", "after all").await;
    let folder = north.bench.folder.clone();
    Network::existing(&folder).unwrap().destroy(&say).await.unwrap();
    assert!(!folder.exists() && !marked(&south.bench.folder).is_empty());
}

fn valid(committed: Result<hlf_gateway::Committed, TransactionError>) {
    if let Err(error) = committed {
        panic!("{}", told(&error));
    }
}

fn consortium_with_east(spec: &Consortium) -> Consortium {
    let mut with_east = spec.clone();
    with_east.set_organizations(&["north", "south", "east"]).unwrap();
    let place = Places { taken: Vec::new() }.next("127.0.0.5");
    with_east.organizations[2].endpoints.insert("peer0".to_owned(), place);
    Consortium::parse(&with_east.to_toml().unwrap()).unwrap()
}

/// Another channel's, a wrong MSP id, another's file under a false name: nothing of it changes anything.
async fn what_does_not_fit_is_refused(north: &Machine, spec: &Consortium) {
    let post = Post::new();
    type Change = fn(&mut Consortium);
    let table: [(Change, &str); 4] = [
        (|spec| spec.organizations[1].msp_id = "WestMSP".to_owned(), "msp_id `WestMSP`"),
        (|spec| spec.organizations[1].domain = "west.example.com".to_owned(), "domain `west.example.com`"),
        (|spec| spec.channel.name = "other".to_owned(), "is for channel `other`"),
        (|spec| spec.organizations[1].peers.push("peer1".to_owned()), "nodes peer0.south.example.com, peer1"),
    ];
    for (change, expected) in table {
        let mut other = spec.clone();
        change(&mut other);
        let machine = Machine::beside("south", &other, "-foreign");
        let file = post.description_of(&machine).await;
        let error = north.import(&file).await.unwrap_err();
        assert!(matches!(error, ImportError::Description(_)), "{}", told(&error));
        assert!(error.to_string().contains(expected), "{}", told(&error));
    }
    for bytes in [&b"{\"format\": \"hlf-network organization 1\"}"[..], b"\x0a\xffno block", b""] {
        let file = post.put("nonsense", bytes);
        assert!(north.import(&file).await.is_err());
    }
    assert_eq!(north.waits_for().await, ["orderer", "south"]);
}

async fn first_blocks_that_differ_are_refused(north: &Machine, block: &Path) {
    let post = Post::new();
    // Damaged on the way.
    let mut bytes = fs::read(block).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    let damaged = post.put("damaged.block", &bytes);
    assert!(north.import(&damaged).await.is_err());
    // Made by somebody whose document says something else, and of another channel.
    for (change, expected) in [
        (
            r#"endorsement = "any""#,
            "/Channel/Application/Endorsement (policy): ANY of Endorsement -> MAJORITY",
        ),
        ("name = \"other\"", "of channel `other`, and this consortium's channel is `consortium`"),
    ] {
        let text = north.spec.to_toml().unwrap();
        let text = match change.starts_with("name") {
            true => text.replacen("name = \"consortium\"", change, 1),
            false => text.replacen(r#"endorsement = "majority""#, change, 1),
        };
        let other = Consortium::parse(&text).unwrap();
        let maker = Bench::new("part-maker");
        let whole = Network::new(&maker.folder, other.clone()).unwrap();
        // All of another consortium, with keys of its own.
        let other_block = post.folder.path().join("other.block");
        let noted = |event: &Event<'_>| {
            if matches!(event, Event::Done { step: "first block of the channel", .. }) {
                let name = format!("channel/{}.block", other.channel.name);
                fs::copy(maker.folder.join(name), &other_block).unwrap();
            }
        };
        let mut options = north.options();
        options.chaincode = None;
        whole.up(&options, &noted).await.unwrap();
        whole.destroy(&Quiet).await.unwrap();
        let error = north.import(&other_block).await.unwrap_err();
        let ImportError::FirstBlock(FirstBlockError::Differs(_) | FirstBlockError::Channel { .. }) = &error
        else {
            panic!("{}", told(&error))
        };
        assert!(error.to_string().contains(expected), "{}", told(&error));
    }
    assert_eq!(north.waits_for().await, ["one organisation"]);
}

/// The channel, the profile and the peer's own configuration have the public endpoint.
fn addresses_are_public_ones(north: &Machine, spec: &Consortium) {
    let network = north.network();
    let own = network.own_organizations().next().unwrap();
    let endpoint = spec.organizations[0].endpoints["peer0"].to_string();
    assert_eq!(network.profile(own).unwrap().peers[0].address, endpoint);
    let core =
        fs::read_to_string(north.bench.folder.join("nodes/peer0.north.example.com/core.yaml")).unwrap();
    for key in ["externalEndpoint", "listenAddress"] {
        assert!(core.lines().any(|line| line.contains(key) && line.contains(&endpoint)), "{key} of {core}");
    }
}

/// What the document says and one's own keys allow is done; for the rest the others sign.
async fn the_channel_follows_the_documents(orderer: &Machine, north: &Machine, south: &Machine) {
    let with = |machine: &Machine, change: &dyn Fn(&mut hlf_network::spec::Channel)| {
        let mut spec = machine.spec.clone();
        change(&mut spec.channel);
        Network::new_part(&machine.bench.folder, spec, machine.part.clone()).unwrap()
    };
    let agreed = async |network: &Network| match network.agree(&say).await {
        Ok(agreed) => agreed,
        Err(error) => panic!("{}", told(&error)),
    };
    assert!(matches!(agreed(&with(north, &|_| {})).await, Agreed::Already));
    // How blocks are cut is the ordering organisation's to change.
    let slower = |channel: &mut hlf_network::spec::Channel| channel.batch_timeout_ms = 250;
    assert!(matches!(agreed(&with(north, &slower)).await, Agreed::ToSign(_)));
    let network = with(orderer, &slower);
    assert!(network.wanted_change().await.unwrap().is_some());
    assert!(matches!(agreed(&network).await, Agreed::InForce(_)));
    assert!(matches!(agreed(&network).await, Agreed::Already));
    // A member's peer may get the block later than the one that was asked.
    let follows = async |machine: &Machine, other: &Machine| {
        let sequence = async |machine: &Machine| machine.network().channel_config().await.unwrap().sequence();
        let wanted = sequence(other).await;
        let begun = Instant::now();
        while sequence(machine).await < wanted {
            assert!(begun.elapsed() < Duration::from_secs(60), "{} stays behind", machine.name);
        }
    };
    for member in [north, south] {
        follows(member, orderer).await;
    }
    // Who must endorse is the members'.
    let all = |channel: &mut hlf_network::spec::Channel| {
        slower(channel);
        channel.endorsement = Endorsement::All;
    };
    let network = with(north, &all);
    let Agreed::ToSign(proposal) = agreed(&network).await else { panic!("north alone is no majority") };
    let mut proposal = Proposal::parse(&proposal.to_string()).unwrap();
    let present = south.network().channel_config().await.unwrap();
    assert_eq!(proposal.differences(&present).unwrap().len(), 2);
    proposal.sign(&present, &south.admin()).await.unwrap();
    south.network().submit_change(&proposal, &south.admin(), &say).await.unwrap();
    follows(north, south).await;
    assert!(matches!(agreed(&network).await, Agreed::Already));
}

async fn the_stock_command_line_works(south: &Machine) {
    let network = Network::existing(&south.bench.folder).unwrap();
    let own = network.own_organizations().next().unwrap().clone();
    let environment = network.peer_environment(&own).unwrap();
    let peer = environment.programs.clone().unwrap().join("peer");
    let orderer = environment.variables["ORDERER_ADDRESS"].clone();
    let roots = environment.variables["ORDERER_CA"].clone();
    for args in [
        vec!["channel", "getinfo", "-c", "consortium"],
        vec!["lifecycle", "chaincode", "querycommitted", "-C", "consortium", "-n", "shelf"],
        vec!["channel", "fetch", "config", "config.block", "-c", "consortium", "--tls"],
    ] {
        let mut command = Command::new(&peer);
        command.args(&args).envs(&environment.variables).current_dir(&south.bench.folder);
        if args.contains(&"--tls") {
            command.arg("-o").arg(&orderer).arg("--cafile").arg(&roots);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

async fn what_runs_is_changed_by_proposals_alone(north: &Machine) {
    let post = Post::new();
    // South with another key: what the channel knows of it is not changed by a file.
    let south = Machine::beside("south", &north.spec, "-other");
    let file = post.description_of(&south).await;
    for replace in [false, true] {
        let error = north.import_with(&file, None, replace).await.unwrap_err();
        assert!(matches!(error, ImportError::Running { .. }), "{}", told(&error));
        assert!(error.to_string().contains("change propose"), "{}", told(&error));
    }
    // What concerns all of a consortium is not done by one of its parts.
    let network = Network::existing(&north.bench.folder).unwrap();
    let error = network.up(&north.options(), &Quiet).await.unwrap_err();
    assert!(matches!(error, UpError::State(StateError::Kind { .. })), "{}", told(&error));
    let error = network.apply(None, &north.options(), &Quiet).await.unwrap_err();
    assert!(matches!(error, ApplyError::State(StateError::Kind { .. })), "{}", told(&error));
    let error = Network::new_part(&north.bench.folder, north.spec.clone(), Part::new("south")).unwrap();
    let error = error.up_part(&north.options(), &Quiet).await.unwrap_err();
    assert!(matches!(error, PartError::State(StateError::Kind { .. })), "{}", told(&error));
}

/// A part's `up` in a process of its own, which prints a line for every event, and what it waits for.
pub(crate) async fn stand_up_aloud(folder: &Path, organization: &str) {
    let text = fs::read_to_string(folder.with_extension("toml")).unwrap();
    let spec = Consortium::parse(&text).unwrap();
    let network = Network::new_part(folder, spec.clone(), Part::new(organization)).unwrap();
    let options = edition(&spec, std::env::current_exe().unwrap(), "first");
    let aloud = |event: &Event<'_>| println!("{event:?}");
    match network.up_part(&options, &aloud).await {
        Ok(standing) => println!("{standing:?}"),
        Err(error) => {
            eprintln!("{}", told(&error));
            std::process::exit(1);
        }
    }
}

impl Machine {
    /// Has its `up` killed at every event, until one run comes to its end.
    fn up_under_fire(&self) -> usize {
        fs::create_dir_all(self.bench.folder.parent().unwrap()).unwrap();
        fs::write(self.bench.folder.with_extension("toml"), self.spec.to_toml().unwrap()).unwrap();
        for events in 1.. {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .arg("part")
                .arg(&self.bench.folder)
                .arg(&self.name)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let heard = lines.take(events).count();
            if heard == events {
                child.kill().unwrap();
            }
            let status = child.wait().unwrap();
            if heard < events {
                assert!(status.success(), "{}", self.name);
                fs::remove_file(self.bench.folder.with_extension("toml")).unwrap();
                return events - 1;
            }
        }
        unreachable!()
    }
}

pub(crate) async fn parts_of_bft_are_killed_at_every_event_and_go_on() {
    let spec = consortium("bft:4", &["north", "south"]);
    let post = Post::new();
    let machines = ["orderer", "north", "south"].map(|name| Machine::new(name, &spec));
    let mut kills: usize = machines.iter().map(Machine::up_under_fire).sum();
    let mut files = Vec::new();
    for machine in &machines {
        files.push(post.description_of(machine).await);
    }
    for machine in &machines {
        for file in &files {
            machine.imports(file).await;
        }
        kills += machine.up_under_fire();
    }
    let [orderer, north, south] = &machines;
    // A member may make the first block as well.
    let (block, _) = north.network().first_block(&north.options(), &say).await.unwrap();
    let block = post.put("consortium.block", &block);
    for machine in [orderer, south] {
        machine.imports(&block).await;
    }
    for machine in [orderer, north, south, north] {
        kills += machine.up_under_fire();
    }
    eprintln!("killed {kills} times");
    assert_eq!(marked(&orderer.bench.folder).len(), 4);
    for machine in &machines {
        assert!(machine.up().await.complete, "{}", machine.name);
    }
    share_no_key(&[orderer, north, south]);

    // Each renews what is its own; of an ordering node the channel learns by the ordering organisation's own signature.
    for (machine, name) in [
        (orderer, "orderer2.orderer.example.com"),
        (south, "peer0.south.example.com"),
        (south, "chaincode.south.example.com"),
    ] {
        let network = Network::existing(&machine.bench.folder).unwrap();
        let what = Renewal::Named(name.to_owned());
        match network.renew_certificates(&what, RenewedKeys::Same, &machine.options(), &say).await {
            Ok(renewed) => assert_eq!(renewed, [name]),
            Err(error) => panic!("{name}: {}", told(&error)),
        }
    }
    valid(try_put(&south.network(), "south", &["NorthMSP", "SouthMSP"], "of both").await);
    has(&north.network(), "north", "of both").await;
}
