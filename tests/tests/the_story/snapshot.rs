//! A hospital's second peer joins by a snapshot: it has the state, and not one block of what was decided before.

use std::time::Duration;

use caretrail_model::audit::AuditEntry;
use caretrail_model::calls::*;
use caretrail_model::decision::Rule;
use caretrail_model::ids::{PatientId, RecordId, TxId};
use caretrail_model::time::UnixMs;
use caretrail_tests::both::propose;
use caretrail_tests::fabric;
use caretrail_tests::hospitals::{number, text};
use caretrail_tests::until::until;
use hlf_gateway::{Deadlines, Endorser, Gateway, MspFolder, Proposal};
use hlf_network::Quiet;
use hlf_network::network::Network;
use hlf_protos::protos::ProposalResponse;

use crate::world::Story;

/// How long the new peer may take to have the newest block.
const LEVEL_WITHIN: Duration = Duration::from_secs(180);
const FIRST: &str = "peer0.south.example.com";
const SECOND: &str = "peer1.south.example.com";

/// South's first peer, which has every block, and its second.
struct Peers([Endorser; 2]);

impl Peers {
    /// Both, as the auditor of the patient's home asks them: each by itself, and no gateway asks another.
    async fn of_south(story: &Story, network: &Network) -> Self {
        let profile = network.profile(network.spec().organization("south").unwrap()).unwrap();
        let [first, second] = profile.gateways().unwrap().try_into().unwrap();
        let connect = async |endpoint| {
            let auditor =
                MspFolder::open(story.user_folder("north/auditor").join("msp"), "NorthMSP").unwrap();
            Endorser::connect(&endpoint, auditor.into_credentials(), Deadlines::default()).await.unwrap()
        };
        Self([connect(first).await, connect(second).await])
    }

    async fn answers(&self, proposal: &Proposal) -> [ProposalResponse; 2] {
        let signed = proposal.signed().await.unwrap();
        let [first, second] = self.0.each_ref().map(|endorser| endorser.process(signed.clone()));
        let (first, second) = tokio::join!(first, second);
        [first.unwrap(), second.unwrap()]
    }

    /// What both say of the same question: the same to the byte, what they read for it included.
    async fn seen<C: Call>(&self, gateway: &Gateway, call: &C) -> C::Reply {
        let [first, second] = self.answers(&propose(gateway, "records", "caretrail", call)).await;
        let said = first.response.clone().unwrap();
        assert_eq!((said.status, said.message.as_str()), (200, ""), "{}", C::NAME);
        assert_eq!(first.response, second.response, "{}", C::NAME);
        assert_eq!(first.payload, second.payload, "{}", C::NAME);
        serde_json::from_slice(&said.payload).unwrap()
    }

    /// All that was written about a patient, and the rules of all decisions, which both make again as they were made.
    async fn replayed(&self, gateway: &Gateway, patient: PatientId) -> (Vec<AuditEntry>, Vec<Rule>) {
        let log = AccessLog { patient, page_entries: 500, bookmark: String::new() };
        let entries = self.seen(gateway, &log).await.entries;
        let mut rules = Vec::new();
        for entry in &entries {
            let decision = entry.tx_id;
            if entry.act.kind() != "access_decided" {
                continue;
            }
            let seen = self.seen(gateway, &GetDecision { patient, decision }).await;
            assert_eq!(seen, entry.clone().told());
            let again = self.seen(gateway, &ReplayDecision { patient, decision }).await;
            assert!(again.matches, "{again:?}");
            rules.extend(again.decisions.iter().map(|decision| decision.rule));
        }
        (entries, rules)
    }
}

pub(crate) async fn a_peer_that_joined_by_a_snapshot_replays_what_was_decided_before_it(story: &mut Story) {
    let made = story.caretrail.run(&format!("network snapshot create --peer {FIRST}")).await.done();
    let spec = fabric::spec(&story.caretrail).await;
    let (north, south) = spec.split_once("name = \"south\"").unwrap();
    let south = south.replacen("peers = [\"peer0\"]", "peers = [\"peer0\", \"peer1\"]", 1);
    story.caretrail.write("three-peers.toml", format!("{north}name = \"south\"{south}").as_bytes());
    let apply = format!("network apply --spec three-peers.toml --snapshot {}", text(&made["folder"]));
    let standing = story.caretrail.run(&apply).await.done();
    assert_eq!(standing["ready"], true, "{standing}");

    // It has no block of before, and so no history of any key.
    let network = Network::existing(&story.caretrail.network_folder()).unwrap();
    let first_block = async || {
        let compared = network.compare_ledgers(None, &Quiet).await.unwrap();
        compared.peers.into_iter().find(|peer| peer.name == SECOND).unwrap().first_block
    };
    let joined = until("the second peer to have a block", LEVEL_WITHIN, async || first_block().await).await;
    assert_eq!(joined, number(&made["block"]) + 1);

    let peers = Peers::of_south(story, &network).await;
    let gateway = story.gateway("north/auditor").await;
    let patient: PatientId = story.patient.parse().unwrap();
    let scan: RecordId = story.scan.parse().unwrap();
    let (entries, rules) = peers.replayed(&gateway, patient).await;
    assert!(rules.len() >= 10, "{rules:?} of {} entries", entries.len());
    // Decisions by guardians' terms and by what was passed on; by care, emergencies and a stop.
    let (_, rules) = peers.replayed(&gateway, story.protected.patient.parse().unwrap()).await;
    assert!(rules.contains(&Rule::ConsentPermits) && rules.contains(&Rule::NothingPermits), "{rules:?}");
    let (_, rules) = peers.replayed(&gateway, story.cared.patient.parse().unwrap()).await;
    for rule in
        [Rule::BreakGlass, Rule::EmergencyRefused, Rule::NoRelationship, Rule::NoStanding, Rule::Stopped]
    {
        assert!(rules.contains(&rule), "no {rule:?} of {rules:?}");
    }

    // Who could see what at instants that lie before the snapshot.
    let permit: TxId = story.permit.parse().unwrap();
    let then = entries.iter().find(|entry| entry.tx_id == permit).unwrap().at;
    for at in
        [then, UnixMs::new(then.get() - 1).unwrap(), entries.iter().map(|entry| entry.at).max().unwrap()]
    {
        peers.seen(&gateway, &WhoCanSee { record: scan, at: Some(at) }).await;
        let bookmark = String::new();
        let holders = ListHolders { record: scan, at: Some(at), page_entries: 100, bookmark };
        peers.seen(&gateway, &holders).await;
    }
    let at_the_time =
        ListHolders { record: scan, at: Some(then), page_entries: 100, bookmark: String::new() };
    let holders = peers.seen(&gateway, &at_the_time).await.holders;
    let [ben] = holders.as_slice() else { panic!("{holders:?}") };
    assert_eq!(ben.actor.to_string(), story.actor("south/ben").await);
    let history = RecordHistory { record: scan, page_entries: 0, bookmark: String::new() };
    assert!(!peers.seen(&gateway, &history).await.versions.is_empty());

    // It goes on with what comes: the next decision is replayed by it alike.
    let ran = story.run_as("south/ben", &format!("{} --purpose TREAT", story.request())).await;
    let decision = text(&serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap()["decision"]);
    let replay = ReplayDecision { patient, decision: decision.parse().unwrap() };
    let proposal = propose(&gateway, "records", "caretrail", &replay);
    until("both peers to have the decision", LEVEL_WITHIN, async || {
        let known = |answer: ProposalResponse| answer.response.is_some_and(|said| said.status == 200);
        peers.answers(&proposal).await.into_iter().all(known).then_some(())
    })
    .await;
    assert!(peers.seen(&gateway, &replay).await.matches);
    an_audit_there_says_what_it_lacks(story, &network, joined).await;
}

/// North's auditor asks the second peer: no index begins there unless it is told to begin late, and then it says so.
async fn an_audit_there_says_what_it_lacks(story: &Story, network: &Network, joined: u64) {
    let mut profile = network.profile(network.spec().organization("south").unwrap()).unwrap();
    profile.peers.retain(|peer| peer.host == SECOND);
    (profile.organization, profile.msp_id) = ("north".to_owned(), "NorthMSP".to_owned());
    story.caretrail.write("second.json", &serde_json::to_vec(&profile).unwrap());
    let log = format!("audit log --patient {}", story.patient);
    let auditor = story.user_folder("north/auditor").join("msp");
    let there = format!("{log} --profile second.json --data late --identity {}", auditor.display());
    let whole = story.run_as("north/auditor", &log).await.rows();

    let refused = story.caretrail.run(&there).await.failed("BLOCKS_MISSING");
    assert!(refused.fix.contains(&format!("--first-block {joined}:")), "{refused:?}");
    let late = story.caretrail.run(&format!("{there} --first-block {joined}")).await.rows();
    assert!(late.iter().all(|row| row["first_block"] == joined));
    assert!(whole.iter().all(|row| row.get("first_block").is_none()));
    assert_eq!(late.len(), whole.len());
    let mut placed = 0;
    for row in &whole {
        let same = |other: &&serde_json::Value| ["tx_id", "record"].iter().all(|key| other[key] == row[key]);
        let late = late.iter().find(same).unwrap_or_else(|| panic!("no {row}"));
        if number(&row["block"]) < joined {
            assert!(late["block"].is_null() && late["position"].is_null(), "{late}");
        } else {
            assert_eq!((&late["block"], &late["position"]), (&row["block"], &row["position"]));
            placed += 1;
        }
    }
    assert!(placed > 0 && placed < whole.len(), "{placed} of {}", whole.len());
    // Without being told again.
    assert_eq!(story.caretrail.run(&there).await.rows(), late);
    story.caretrail.run(&format!("{there} --first-block 0")).await.invalid("INDEX_BEGINS_ELSEWHERE");
}
