//! How a peer is reached: with a client certificate, over the caller's own connection, and for how long.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use caretrail_tests::processes;
use caretrail_tests::until::until;
use hlf_gateway::protos::common::Status;
use hlf_gateway::{
    BlockRange, CallFailure, Code, Deadlines, DeliverError, Endpoint, EventsFrom, FailureCause, Gateway,
    Retry,
};
use hlf_network::process::Service;
use sha2::{Digest as _, Sha256};

use crate::outcomes::put;
use crate::reaching::{NARROW, narrow, pid};
use crate::world::{NOTES, Notes, told};

/// Has a peer demand a client certificate of everybody, as `peer.tls.clientAuthRequired` does.
async fn guard(world: &Notes, host: &str, address: &str) {
    let programs = world.profile("north").programs.unwrap();
    world.network.supervisor().stop(host).await.unwrap();
    let folder = world.network.layout().root().join("nodes").join(host);
    let service = Service {
        name: host.to_owned(),
        program: programs.join("peer"),
        args: vec!["node".into(), "start".into()],
        env: BTreeMap::from([
            ("FABRIC_CFG_PATH".to_owned(), folder.into_os_string()),
            ("CORE_PEER_TLS_CLIENTAUTHREQUIRED".to_owned(), "true".into()),
        ]),
        ports: vec![address.rsplit_once(':').unwrap().1.parse().unwrap()],
        reads: Vec::new(),
    };
    world.network.ensure_service(&service).await.unwrap();
}

pub(crate) async fn a_peer_that_asks_for_a_client_certificate_is_shown_one(world: &mut Notes) {
    let address = narrow(world).address().to_owned();
    guard(world, NARROW, &address).await;
    let profile = world.profile("north");
    let user = world.network.layout().user(world.network.spec().organization("north").unwrap(), "User1");
    let [certificate, key] =
        ["client.crt", "client.key"].map(|file| fs::read_to_string(user.join("tls").join(file)).unwrap());
    // The address names no host: what the certificate must name is said.
    let roots = fs::read_to_string(&profile.tls_ca).unwrap();
    let endpoint = Endpoint::tls(address, roots).host_override(NARROW);
    let shown = endpoint.clone().client_tls(certificate.clone(), key);
    let credentials = || world.credentials("north", "User1");

    let gateway = until("the peer to serve", Duration::from_secs(180), async || {
        let gateway = Gateway::connect(&shown, credentials(), Deadlines::default()).await.ok()?;
        let proposal = gateway.contract(world.channel(), NOTES).proposal("Caller").build().unwrap();
        let answered = proposal.endorse().await;
        (answered.is_ok()).then_some(gateway)
    })
    .await;
    let notes = gateway.contract(world.channel(), NOTES);
    let done = put(&notes, "with a client certificate").await.unwrap();
    // Block streams are bound to the certificate; chaincode events are not.
    let block = gateway.commit_status(world.channel(), &done).await.unwrap().block_number;
    let mut blocks = gateway.filtered_blocks(world.channel(), block..=block).await.unwrap();
    assert_eq!(blocks.next().await.unwrap().unwrap().number, block);
    let mut events = notes.events(EventsFrom::Block(block)).await.unwrap();
    assert!(events.next().await.unwrap().events.iter().any(|event| event.tx_id == done));

    // Over the caller's own connection, only they know which certificate it shows.
    let channel = shown.connect(Duration::from_secs(10)).await.unwrap();
    let own = Gateway::on_channel(channel, credentials(), Deadlines::default());
    let read = own.contract(world.channel(), NOTES).proposal("Get").arg("with a client certificate");
    assert_eq!(read.build().unwrap().evaluate().await.unwrap(), b"x");
    let mut blocks = own.filtered_blocks(world.channel(), BlockRange::newest()).await.unwrap();
    let error = blocks.next().await.unwrap_err();
    assert!(matches!(error, DeliverError::Refused { status: Status::BadRequest, .. }), "{}", told(&error));
    assert!(error.to_string().contains("client certificate"), "{error}");
    let (_, der) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()).unwrap();
    let own = own.with_client_certificate_hash(Sha256::digest(&der.contents).into());
    let mut blocks = own.filtered_blocks(world.channel(), BlockRange::newest()).await.unwrap();
    assert!(blocks.next().await.unwrap().is_some());

    // Without one, the peer ends the connection when it stands already: mostly a call learns why, or what it may be.
    let lazy = Gateway::connect_lazy(&endpoint, credentials(), Deadlines::default()).unwrap();
    let failed = async || {
        let proposal = lazy.contract(world.channel(), NOTES).proposal("Caller").build().unwrap();
        let error = proposal.evaluate().await.unwrap_err();
        assert_eq!(error.failure().unwrap().code(), Code::Unavailable, "{}", told(&error));
        error.failure().unwrap().cause().is_some().then_some(error)
    };
    let error = until("the cause to be told", Duration::from_secs(180), failed).await;
    let failure = error.failure().unwrap();
    let causes = [FailureCause::ClientCertificateMissing, FailureCause::ConnectionClosed];
    assert!(failure.cause().is_some_and(|cause| causes.contains(&cause)), "{}", told(&error));
    assert!(failure.advice().unwrap().contains("client_tls"), "{failure}");

    world.up().await;
    until("the peer to serve everybody again", Duration::from_secs(180), async || {
        put(&lazy.contract(world.channel(), NOTES), "without one").await.ok()
    })
    .await;
}

pub(crate) async fn each_stage_ends_by_its_deadline_at_a_peer_that_stands_still(world: &mut Notes) {
    let soon = Duration::from_secs(1);
    let deadlines = Deadlines {
        evaluate: soon,
        endorse: soon,
        submit: soon,
        commit_status: soon,
        open_stream: Some(soon),
        ..Deadlines::default()
    };
    let credentials = world.credentials("north", "User1");
    let patient = Gateway::connect(&narrow(world), credentials, Deadlines::default()).await.unwrap();
    let hasty = patient.with_deadlines(deadlines);
    let (channel, notes) = (world.channel(), hasty.contract(world.channel(), NOTES));
    let proposal =
        patient.contract(channel, NOTES).proposal("Put").args(["stands still", "x"]).build().unwrap();
    let endorsed = proposal.endorse().await.unwrap();
    let transaction = endorsed.signed().await.unwrap();
    let endorsed = endorsed.with_deadlines(deadlines);

    let pid = pid(world, NARROW).await;
    processes::pause(pid);
    let call = || notes.proposal("Get").arg("none").build().unwrap();
    let code = |failure: Option<&CallFailure>| failure.map(CallFailure::code);
    let evaluated = call().evaluate().await;
    let refused = call().endorse().await;
    let submitted = endorsed.submit().await;
    let status = hasty.commit_status(channel, proposal.tx_id()).await;
    let block = hasty.filtered_blocks(channel, BlockRange::newest()).await.unwrap().next().await;
    let events = notes.events(EventsFrom::Block(0)).await.unwrap().next().await;
    processes::resume(pid);

    let late = Some(Code::DeadlineExceeded);
    assert_eq!(code(evaluated.unwrap_err().failure()), late);
    assert_eq!(code(refused.unwrap_err().failure()), late);
    assert_eq!(code(submitted.unwrap_err().failure()), late);
    assert_eq!(code(status.unwrap_err().failure()), late);
    for words in [told(&block.unwrap_err()), told(&events.unwrap_err())] {
        assert!(words.contains("DEADLINE_EXCEEDED"), "{words}");
    }
    // Whatever became of the submission: elsewhere it is the same transaction, and has one outcome.
    let south = world.gateway("south", "User1").await;
    let committed = south.settle(&transaction, &Retry::default()).await;
    assert_eq!(committed.unwrap_or_else(|error| panic!("{}", told(&error))).tx_id, proposal.tx_id());
    until("the peer to answer again", Duration::from_secs(180), async || call().evaluate().await.ok()).await;
}
