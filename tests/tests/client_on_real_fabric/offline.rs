//! Stages that are signed by others than this client: `openssl`, and in the steps of the official client.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hlf_gateway::{
    BlockRequest, Credentials, Endorsed, EventsFrom, EventsRequest, Gateway, Identity, Proposal, Submitted,
};
use hlf_network::spec::UserKey;

use crate::world::{NOTES, Notes, certificate_and_key, told};

/// A key file that `openssl` signs with; nothing of this process reads it.
struct Openssl {
    key: PathBuf,
    folder: PathBuf,
    kind: UserKey,
}

impl Openssl {
    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let (input, output) = (self.folder.join("message"), self.folder.join("signature"));
        fs::write(&input, message).unwrap();
        let mut command = Command::new("openssl");
        match self.kind {
            UserKey::Ed25519 => {
                command.args(["pkeyutl", "-sign", "-rawin", "-inkey"]).arg(&self.key).arg("-in")
            }
            UserKey::P256 | UserKey::P384 => {
                command.args(["dgst", "-sha256", "-sign"]).arg(&self.key).args(["-binary"])
            }
        };
        if self.kind == UserKey::Ed25519 {
            command.arg(&input).arg("-out").arg(&output);
        } else {
            command.arg("-out").arg(&output).arg(&input);
        }
        succeeded(command, "`openssl`: install it from your distribution, such as `apt-get install openssl`");
        fs::read(output).unwrap()
    }
}

/// An identity without its key, and `openssl` with it.
fn elsewhere(world: &Notes, kind: UserKey) -> (Credentials, Openssl) {
    let (certificate_pem, key) = certificate_and_key(&world.enrolled(&format!("{kind:?}"), kind));
    let folder = world.folder.join(format!("openssl-{kind:?}"));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("key.pem");
    fs::write(&file, key).unwrap();
    let identity = Identity { msp_id: "NorthMSP".to_owned(), certificate_pem };
    (Credentials::without_signer(identity), Openssl { key: file, folder, kind })
}

pub(crate) async fn openssl_signs_what_this_client_prepares(world: &mut Notes) {
    for kind in world.keys() {
        let (credentials, openssl) = elsewhere(world, kind);
        let gateway = world.gateway_as("north", credentials).await;
        let notes = gateway.contract(world.channel(), NOTES);
        for round in 0..4 {
            let proposal = notes.proposal("Put").args(["openssl", &round.to_string()]).build().unwrap();
            let signature = openssl.signature(proposal.message());
            let endorsed = proposal.with_signature(&signature).unwrap().endorse().await.unwrap();
            let signature = openssl.signature(endorsed.message());
            let submitted = endorsed.with_signature(&signature).unwrap().submit().await.unwrap();
            let signature = openssl.signature(submitted.message());
            let status = submitted.with_signature(&signature).unwrap().commit_status().await.unwrap();
            assert!(status.is_valid(), "{kind:?}: {status:?}");
        }
        let request = gateway.block_request(world.channel(), 0..=0);
        let signature = openssl.signature(request.message());
        let mut blocks = request.with_signature(&signature).unwrap().filtered_blocks().await.unwrap();
        assert_eq!(blocks.next().await.unwrap().unwrap().number, 0);
        let request = notes.events_request(EventsFrom::Block(0));
        let signature = openssl.signature(request.message());
        let mut events = request.with_signature(&signature).unwrap().events().await.unwrap();
        assert_eq!(events.next().await.unwrap().events[0].event_name, "put");
    }
}

pub(crate) async fn other_identities_ask_for_what_one_made(world: &mut Notes) {
    let (credentials, openssl) = elsewhere(world, UserKey::P256);
    let maker = world.gateway_as("north", credentials).await;
    // A user of the other organisation carries everything to their own peer, and has a key of their own.
    let carrier = world.gateway("south", "User1").await;
    let proposal =
        maker.contract(world.channel(), NOTES).proposal("Put").args(["carried", "x"]).build().unwrap();
    let signature = openssl.signature(proposal.message());
    let carried = Proposal::from_bytes(&carrier, &proposal.to_bytes()).unwrap();
    let endorsed = carried.with_signature(&signature).unwrap().endorse().await.unwrap();
    let at_maker = Endorsed::from_bytes(&maker, &endorsed.to_bytes()).unwrap();
    at_maker.is_of(&proposal).unwrap();
    let signature = openssl.signature(at_maker.message());
    let signed = Endorsed::from_bytes(&carrier, &at_maker.to_bytes()).unwrap();
    let submitted = signed.with_signature(&signature).unwrap().submit().await.unwrap();
    // The carrier asks in their own name.
    assert!(submitted.commit_status().await.unwrap().is_valid());
    assert!(maker.commit_status(world.channel(), proposal.tx_id()).await.is_err(), "it has no key");
    let anybody = world.gateway("south", "Admin").await;
    let status = Submitted::of(&anybody, world.channel(), proposal.tx_id()).commit_status().await.unwrap();
    assert!(status.is_valid());
}

/// The official client, step by step, each a process of its own.
struct Official {
    program: PathBuf,
    connection: Vec<String>,
}

impl Official {
    fn of(world: &Notes, certificate: &Path) -> Self {
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("go/offline-signing");
        let cache = hlf_network::fabric::default_cache_dir().expect("HOME or HLF_NETWORK_CACHE");
        let program = cache.with_file_name("hlf-gateway").join("offline-signing");
        let mut build = Command::new("go");
        build.args(["build", "-mod=readonly", "-o"]).arg(&program).arg(".").current_dir(module);
        succeeded(build, "Go 1.25 or later on the PATH: install it from https://go.dev/dl");
        let profile = world.profile("north");
        let connection = vec![
            profile.peers[0].address.clone(),
            profile.tls_ca.display().to_string(),
            profile.msp_id,
            certificate.display().to_string(),
        ];
        Self { program, connection }
    }

    /// The lines that a step prints.
    async fn step(&self, arguments: &[&str]) -> Vec<String> {
        let mut command = Command::new(&self.program);
        command.args(&self.connection).args(arguments).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {words}", arguments[0]);
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// A step that exports: its bytes, after a look at its digest.
    async fn exported(&self, arguments: &[&str], digest: impl Fn(&[u8]) -> [u8; 32]) -> Vec<u8> {
        let lines = self.step(arguments).await;
        let bytes = hex::decode(&lines[0]).unwrap();
        assert_eq!(hex::encode(digest(&bytes)), lines[1], "{arguments:?}");
        bytes
    }
}

pub(crate) async fn the_official_client_goes_on_with_what_this_one_began(world: &mut Notes) {
    let (credentials, openssl) = elsewhere(world, UserKey::P256);
    let certificate = openssl.folder.join("certificate.pem");
    fs::write(&certificate, &credentials.identity().certificate_pem).unwrap();
    let official = Official::of(world, &certificate);
    let ours: Gateway = world.gateway_as("north", credentials).await;
    let channel = world.channel();
    let sign = |message: &[u8]| hex::encode(openssl.signature_low(message));

    // Begun by ours, endorsed by theirs, submitted by ours, asked for by theirs.
    let proposal = ours.contract(channel, NOTES).proposal("Put").args(["both", "1"]).build().unwrap();
    let bytes = hex::encode(proposal.to_bytes());
    let read = official.step(&["read", "proposal", &bytes]).await;
    assert_eq!(read, [bytes.clone(), hex::encode(proposal.digest()), proposal.tx_id().to_owned()]);
    let digest = |bytes: &[u8]| Endorsed::from_bytes(&ours, bytes).unwrap().digest();
    let endorsed = official.exported(&["endorse", &bytes, &sign(proposal.message())], digest).await;
    let endorsed = Endorsed::from_bytes(&ours, &endorsed).unwrap();
    endorsed.is_of(&proposal).unwrap();
    assert_eq!(endorsed.result(), b"1");
    let read = official.step(&["read", "transaction", &hex::encode(endorsed.to_bytes())]).await;
    assert_eq!(read[1..], [hex::encode(endorsed.digest()), proposal.tx_id().to_owned()]);
    let signature = openssl.signature(endorsed.message());
    let submitted = endorsed.with_signature(&signature).unwrap().submit().await.unwrap();
    let bytes = hex::encode(submitted.to_bytes());
    let read = official.step(&["read", "commit", &bytes]).await;
    assert_eq!(read, [bytes.clone(), hex::encode(submitted.digest()), submitted.tx_id().to_owned()]);
    let status = official.step(&["status", &bytes, &sign(submitted.message())]).await;
    assert!(status[0].starts_with("VALID "), "{status:?}");

    // Begun by theirs, endorsed by ours, submitted by theirs, asked for by ours.
    let digest = |bytes: &[u8]| Proposal::from_bytes(&ours, bytes).unwrap().digest();
    let made = official.exported(&["make", "proposal", channel, NOTES, "Put", "both", "2"], digest).await;
    let proposal = Proposal::from_bytes(&ours, &made).unwrap();
    let signature = openssl.signature(proposal.message());
    let endorsed = proposal.with_signature(&signature).unwrap().endorse().await.unwrap();
    let digest = |bytes: &[u8]| Submitted::from_bytes(&ours, bytes).unwrap().digest();
    let bytes = hex::encode(endorsed.to_bytes());
    let submitted = official.exported(&["submit", &bytes, &sign(endorsed.message())], digest).await;
    let submitted = Submitted::from_bytes(&ours, &submitted).unwrap();
    let signature = openssl.signature(submitted.message());
    assert!(submitted.with_signature(&signature).unwrap().commit_status().await.unwrap().is_valid());

    // Requests for events and blocks, both ways.
    let request = ours.contract(channel, NOTES).events_request(EventsFrom::Block(0));
    let bytes = hex::encode(request.to_bytes());
    let read = official.step(&["read", "chaincode-events", &bytes]).await;
    assert_eq!(read, [bytes.clone(), hex::encode(request.digest())]);
    let first = official.step(&["chaincode-events", &bytes, &sign(request.message())]).await;
    assert!(first[0].starts_with("true put "), "{first:?}");
    let digest = |bytes: &[u8]| EventsRequest::from_bytes(&ours, bytes).unwrap().digest();
    let made = official.exported(&["make", "chaincode-events", channel, NOTES], digest).await;
    let request = EventsRequest::from_bytes(&ours, &made).unwrap();
    let signature = openssl.signature(request.message());
    let mut events = request.with_signature(&signature).unwrap().events().await.unwrap();
    match events.next().await {
        Ok(events) => assert_eq!(events.events[0].event_name, "put"),
        Err(error) => panic!("{}", told(&error)),
    }

    let request = ours.block_request(channel, 0..);
    let bytes = hex::encode(request.to_bytes());
    let read = official.step(&["read", "blocks", &bytes]).await;
    assert_eq!(read, [bytes.clone(), hex::encode(request.digest())]);
    assert_eq!(official.step(&["blocks", &bytes, &sign(request.message())]).await, ["true 0"]);
    let digest = |bytes: &[u8]| BlockRequest::from_bytes(&ours, bytes).unwrap().digest();
    let made = official.exported(&["make", "blocks", channel], digest).await;
    let request = BlockRequest::from_bytes(&ours, &made).unwrap();
    let signature = openssl.signature(request.message());
    let mut blocks = request.with_signature(&signature).unwrap().filtered_blocks().await.unwrap();
    assert_eq!(blocks.next().await.unwrap().unwrap().number, 0);
}

impl Openssl {
    /// A signature in the form that the official client, which does not change it, needs.
    fn signature_low(&self, message: &[u8]) -> Vec<u8> {
        hlf_gateway::KeyKind::P256.canonical(&self.signature(message)).unwrap()
    }
}

/// Runs a program to its end.
fn succeeded(mut command: Command, needed: &str) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("this test needs {needed} ({error})"));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed; this test needs {needed}:\n{words}");
    output
}
