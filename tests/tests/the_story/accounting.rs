//! Who was permitted, who was refused, what was released; and what of it nobody can read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use caretrail_tests::hospitals::{number, text};
use hlf_gateway::DeliverError;
use hlf_protos::common::Status;
use hlf_protos::prost::Message as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::documents::{SCAN_MARK, contains};
use crate::world::{BUNDLE, NUMBER, SCAN, Story};

/// Every act of the story, in its order: what, by whom, about what, with which end.
const ACTS: [&str; 21] = [
    "patient_registered by north/service",
    "record_registered by north/ada: bundle 1",
    "record_registered by north/ada: scan 1",
    "access_decided by south/ben: bundle, TREAT, deny, nothing_permits",
    "access_decided by north/eve: bundle, TREAT, deny, no_standing",
    "consent_granted by south/service",
    "access_decided by south/ben: bundle 1, TREAT, permit, consent_permits",
    "access_decided by south/ben: scan 1, TREAT, permit, consent_permits",
    "access_decided by south/cleo: bundle, TREAT, deny, nothing_permits",
    "access_decided by south/ben: bundle, HRESCH, deny, role_not_allowed",
    "disclosed by north/service: bundle 1, TREAT, to south/ben",
    "disclosed by north/service: scan 1, TREAT, to south/ben",
    "access_decided by south/ben: bundle 1, TREAT, permit, consent_permits",
    "consent_ended by north/service",
    "access_decided by south/ben: bundle, TREAT, deny, nothing_permits",
    "consent_granted by south/service",
    "access_decided by south/ben: bundle, TREAT, deny, nothing_permits",
    "access_decided by south/ben: scan 1, TREAT, permit, consent_permits",
    "disclosed by north/service: scan 1, TREAT, to south/ben",
    "record_amended by north/ada: bundle 2",
    "access_decided by south/ben: scan 1, TREAT, permit, consent_permits",
];

pub(crate) async fn the_compliance_officer_sees_every_act_in_the_order_of_the_chain(story: &mut Story) {
    let log = format!("audit log --patient {}", story.patient);
    let mut rows = story.run_as("north/auditor", &log).await.rows();
    // Within one transaction the records are in the order of their ids, which are random.
    rows.sort_by_key(|row| (place(row), row["record"] != story.bundle.as_str()));
    let names = names(story).await;
    let told: Vec<_> = rows.iter().map(|row| sentence(row, &names)).collect();
    assert_eq!(told, ACTS);

    // What the whole blocks say, read without the code that answered: the same transactions at the same places.
    let chain = story.chain().await.told("caretrail");
    let mut logged: Vec<_> =
        rows.iter().map(|row| (place(row), text(&row["tx_id"]), text(&row["act"]))).collect();
    logged.dedup();
    let blocks: Vec<_> = chain
        .iter()
        .map(|told| ((told.block, told.position), told.tx_id.clone(), told.event.clone()))
        .collect();
    assert_eq!(logged, blocks);
    assert!(logged.windows(2).all(|pair| pair[0].0 < pair[1].0), "each act lies after the one before");
    for (kind, count) in
        [("access_decided", 9), ("disclosed", 3), ("consent_granted", 2), ("consent_ended", 1)]
    {
        assert_eq!(chain.iter().filter(|told| told.event == kind).count(), count, "{kind}");
    }
    assert!(chain.iter().all(|told| told.entry["patient"] == story.patient.as_str()));

    // The parts of it.
    let access = story.run_as("north/auditor", &format!("{log} --only access")).await.rows();
    assert_eq!(access.len(), rows.iter().filter(|row| is_access(row)).count());
    let denied = story.run_as("north/auditor", &format!("{log} --only denied")).await.rows();
    assert_eq!(denied.len(), 6);
    assert!(denied.iter().all(|row| row["effect"] == "deny"));

    // It is for the auditor of the patient's home.
    story.run_as("south/auditor", &log).await.failed("HOSPITAL_NOT_ALLOWED");
    story.run_as("north/ada", &log).await.failed("ROLE_NOT_ALLOWED");
}

pub(crate) async fn who_can_see_who_did_and_who_was_refused_is_one_command_each(story: &mut Story) {
    let names = names(story).await;
    let patient = story.patient.clone();
    let told = |row: &Value, fields: &[&str]| -> Vec<String> {
        let value = |field: &&str| row[*field].as_str().map_or("-".to_owned(), str::to_owned);
        fields
            .iter()
            .map(value)
            .map(|text| names.get(&text).map_or(text, |name| (*name).to_owned()))
            .collect()
    };
    let ask = async |line: String| story.run_as("north/auditor", &line).await.rows();

    let can = ask(format!("audit who-can-see {}", story.scan)).await;
    assert_eq!(can.len(), 1, "{can:?}");
    assert_eq!(told(&can[0], &["actor", "role"]), ["south/ben", "clinician"]);
    assert_eq!(can[0]["purposes"], serde_json::json!(["TREAT"]));
    assert!(ask(format!("audit who-can-see {} --at 2020-01-01T00:00:00Z", story.scan)).await.is_empty());

    let did = ask(format!("audit who-did --patient {patient}")).await;
    let released = did.iter().filter(|row| row["released_at"].is_string()).count();
    assert_eq!((did.len(), released), (5, 3));
    assert!(did.iter().all(|row| told(row, &["actor", "purpose"]) == ["south/ben", "TREAT"]));
    let left = ask(format!("audit who-did --patient {patient} --record {} --released", story.bundle)).await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(text(&left[0]["decision"]), story.permit);
    assert_eq!(text(&left[0]["disclosure"]), story.disclosure);

    let refused = ask(format!("audit refused --patient {patient} --reasons")).await;
    let fields = ["actor", "record", "purpose", "told", "reason"];
    let refused: Vec<_> = refused.iter().map(|row| told(row, &fields).join(" ")).collect();
    assert_eq!(
        refused,
        [
            "south/ben bundle TREAT nothing_permits nothing_permits",
            "north/eve bundle TREAT no_standing no_standing",
            "south/cleo bundle TREAT nothing_permits nothing_permits",
            "south/ben bundle HRESCH role_not_allowed role_not_allowed",
            "south/ben bundle TREAT nothing_permits nothing_permits",
            "south/ben bundle TREAT nothing_permits nothing_permits",
        ]
    );

    let history = ask(format!("audit history {} --patient {patient}", story.bundle)).await;
    let whole = ask(format!("audit log --patient {patient}")).await;
    let of_bundle: Vec<_> = whole.iter().filter(|row| row["record"] == story.bundle.as_str()).collect();
    assert_eq!(history.iter().collect::<Vec<_>>(), of_bundle);

    // Page by page, and by whom.
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = ask(format!("audit log --patient {patient} --limit 4{after}")).await;
        let Some(last) = page.last() else { break };
        after = format!(" --after {}.{}", last["block"], last["position"]);
        paged.extend(page);
    }
    assert_eq!(paged, whole);
    let by_north = ask(format!("audit log --patient {patient} --actor NorthMSP")).await;
    assert!(by_north.iter().all(|row| text(&row["actor"]).starts_with("NorthMSP/")));
    let by_ben = ask(format!("audit log --patient {patient} --actor south/ben")).await;
    let of_ben =
        |row: &&Value| ["actor", "recipient"].iter().any(|field| told(row, &[field]) == ["south/ben"]);
    assert_eq!(by_ben.len(), whole.iter().filter(of_ben).count());
    let none = ask(format!("audit log --patient {patient} --until 2020-01-01T00:00:00Z")).await;
    assert!(none.is_empty());
}

pub(crate) async fn nothing_that_identifies_the_patient_left_the_hospital(story: &mut Story) {
    let bundle: Value = serde_json::from_slice(&story.caretrail.read(BUNDLE)).unwrap();
    let patient = &bundle["entry"][0]["resource"];
    let family = text(&patient["name"][0]["family"]);
    let mut words: Vec<Vec<u8>> =
        [NUMBER, SCAN_MARK, "Rest & Medication", "Synthetic", "\"Flu", "resourceType"]
            .into_iter()
            .chain([family.as_str(), patient["birthDate"].as_str().unwrap(), patient["id"].as_str().unwrap()])
            .map(|word| word.as_bytes().to_vec())
            .collect();
    // A plain hash can be guessed, so it is nowhere either: raw or in hex.
    for plain in [NUMBER.as_bytes().to_vec(), story.caretrail.read(BUNDLE), story.caretrail.read(SCAN)] {
        let digest = Sha256::digest(&plain);
        words.extend([digest.to_vec(), hex::encode(digest).into_bytes()]);
    }
    let nowhere = |bytes: &[u8], place: &str| {
        for word in &words {
            assert!(!contains(bytes, word), "`{}` is in {place}", String::from_utf8_lossy(word));
        }
    };

    // Every block of the channel, and every byte that peers, orderer and chaincode services keep or log.
    let mut blocks = Vec::new();
    for block in story.chain().await.blocks() {
        block.encode(&mut blocks).unwrap();
    }
    nowhere(&blocks, "the blocks");
    assert!(contains(&blocks, story.patient.as_bytes()), "the search finds what is there");
    let mut holders = 0;
    each_file(&story.caretrail.network_folder(), &mut |path, bytes| {
        nowhere(bytes, &path.display().to_string());
        holders += usize::from(contains(bytes, story.patient.as_bytes()));
    });
    assert!(holders >= 3, "both peers' and the orderer's block files hold the patient's id: {holders}");
    // What South keeps for itself, and what both daemons said. (The fetched documents are elsewhere.)
    each_file(&story.caretrail.hospital_folder("south"), &mut |path, bytes| {
        nowhere(bytes, &path.display().to_string());
    });
    for hospital in ["north", "south"] {
        nowhere(&fs::read(story.daemon_log(hospital)).unwrap(), "a daemon's log");
    }
}

pub(crate) async fn whole_blocks_are_for_admins(story: &mut Story) {
    for name in ["south/ben", "south/service", "north/auditor"] {
        let gateway = story.gateway(name).await;
        let mut blocks = gateway.blocks("records", 0..=1).await.unwrap();
        let error = blocks.next().await.unwrap_err();
        assert!(
            matches!(&error, DeliverError::Refused { status: Status::Forbidden, .. }),
            "{name}: {error:?}"
        );
        let ledger = gateway.contract("records", "qscc").proposal("GetBlockByNumber").arg("records").arg("1");
        let error = ledger.build().unwrap().evaluate().await.unwrap_err();
        assert!(error.peers().iter().any(|peer| peer.message.contains("access denied")), "{name}: {error:?}");

        // What happened, and whether it counts, is everybody's to follow: ids, verdicts, names of events.
        let mut filtered = gateway.filtered_blocks("records", 0..=1).await.unwrap();
        assert_eq!(filtered.next().await.unwrap().unwrap().number, 0);
    }
}

fn place(row: &Value) -> (u64, u32) {
    (number(&row["block"]), u32::try_from(number(&row["position"])).unwrap())
}

fn is_access(row: &Value) -> bool {
    ["access_decided", "disclosed"].contains(&text(&row["act"]).as_str())
}

/// Names of the story by what stands for them on the channel.
async fn names(story: &Story) -> BTreeMap<String, &'static str> {
    let mut names = BTreeMap::from([(story.bundle.clone(), "bundle"), (story.scan.clone(), "scan")]);
    for name in ["north/ada", "north/eve", "north/service", "south/ben", "south/cleo", "south/service"] {
        names.insert(story.actor(name).await, name);
    }
    names
}

fn sentence(row: &Value, names: &BTreeMap<String, &str>) -> String {
    let name = |field: &str| row[field].as_str().map(|text| names[text].to_owned());
    let mut details = Vec::new();
    if let Some(record) = name("record") {
        details.push(match row["version"].as_u64() {
            Some(version) => format!("{record} {version}"),
            None => record,
        });
    }
    details
        .extend(["purpose", "effect"].into_iter().filter_map(|field| Some(row[field].as_str()?.to_owned())));
    if row["effect"].is_string() {
        details.push(row["why"].as_str().unwrap().split(' ').next().unwrap().to_owned());
    }
    details.extend(name("recipient").map(|recipient| format!("to {recipient}")));
    let details = if details.is_empty() { String::new() } else { format!(": {}", details.join(", ")) };
    format!("{} by {}{details}", text(&row["act"]), name("actor").unwrap())
}

/// Every file in a folder and below it.
pub(crate) fn each_file(folder: &Path, look: &mut impl FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // A ledger's own temporary file may be gone by now.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            each_file(&path, look);
        } else if metadata.is_file()
            && let Ok(bytes) = fs::read(&path)
        {
            look(&path, &bytes);
        }
    }
}
