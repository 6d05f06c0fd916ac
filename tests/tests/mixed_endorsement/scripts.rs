//! Every operation of Fabric's chaincode stream, in scripts that each keep to keys of their own.

use hlf_protos::common::msp_principal::Classification;
use hlf_protos::common::msp_role::MspRoleType;
use hlf_protos::common::signature_policy::{NOutOf, Type};
use hlf_protos::common::{MspPrincipal, MspRole, SignaturePolicy, SignaturePolicyEnvelope};
use hlf_protos::prost::Message as _;
use hlf_protos::protos::TxValidationCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::callee::{CALLEE, ELSEWHERE, PLACE};
use crate::script::{Reply, Script, Step};

/// The collections: of both organisations, of North alone, and North's own that needs no definition.
pub(crate) const PAIR: &str = "pair";
pub(crate) const OF_NORTH: &str = "of-north";
pub(crate) const IMPLICIT: &str = "_implicit_org_NorthMSP";

pub(crate) fn all() -> Vec<Script> {
    let scripts = [
        ("a_value_is_put_read_and_deleted", values()),
        ("many_values_are_written_and_read_at_once", many_values()),
        ("more_is_written_than_one_batch_takes", more_than_a_batch()),
        ("ranges_are_scanned_to_their_end_or_left", ranges()),
        ("composite_keys_are_joined_split_and_scanned", composite_keys()),
        ("a_keys_history_is_read", history()),
        ("private_data_of_both_is_written_and_read", private_values()),
        ("private_data_is_scanned", private_scans()),
        ("private_data_is_purged_and_its_hash_is_gone", purge()),
        ("private_data_of_one_organisation_is_hashed_by_both", of_one_organization()),
        ("transient_data_is_seen_and_not_kept", transient()),
        ("a_keys_own_policy_is_set_read_and_cleared", policies(None)),
        ("a_private_keys_own_policy_is_set_read_and_cleared", policies(Some(PAIR))),
        ("a_keys_own_policy_decides_who_writes", policies_in_force(None)),
        ("a_private_keys_own_policy_decides_who_writes", policies_in_force(Some(PAIR))),
        ("a_transaction_knows_its_proposal_and_its_caller", facts()),
        ("arguments_are_bytes", arguments()),
        ("one_event_is_emitted_the_last", events()),
        ("other_chaincode_is_called_on_this_channel", calls()),
        ("other_chaincode_is_called_on_another_channel", calls_elsewhere()),
        ("chaincode_and_channels_that_are_not_there_are_refused", calls_in_vain()),
        ("pages_are_read_with_bookmarks", pages()),
        ("rich_queries_are_refused_in_the_peers_words", rich_queries()),
        ("a_failure_is_no_transaction", failures()),
        ("what_peers_do_not_combine_is_refused", combinations()),
    ];
    scripts.into_iter().map(|(name, steps)| Script { name, steps }).collect()
}

fn put(key: &str, value: &str) -> Value {
    json!({ "op": "put", "key": key, "value": value })
}

fn get(key: &str) -> Value {
    json!({ "op": "get", "key": key })
}

fn delete(key: &str) -> Value {
    json!({ "op": "delete", "key": key })
}

/// The same operations on a collection.
fn within(collection: &str, mut operations: Value) -> Value {
    for operation in operations.as_array_mut().unwrap() {
        operation["collection"] = json!(collection);
    }
    operations
}

/// As replies show bytes.
fn shown(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(bytes)
}

fn entries(entries: &[(&str, &str)]) -> String {
    entries
        .iter()
        .map(|(key, value)| format!("{}:{}", shown(key), shown(value)))
        .collect::<Vec<_>>()
        .join(",")
}

fn nothing() -> Reply {
    "".into()
}

fn count(line: &str) -> usize {
    line.split(',').filter(|entry| !entry.is_empty()).count()
}

fn values() -> Vec<Step> {
    vec![
        Step::submit(json!([put("v/a", "1"), put("v/b", "ü\u{0}"), put("v/a", "2"), put("v/z", "z")])),
        Step::submit(json!([
            get("v/a"),
            get("v/b"),
            get("v/absent"),
            put("v/c", "after reading"),
            get("v/c")
        ]))
        .replies([shown("2").into(), shown("ü\u{0}").into(), nothing(), nothing(), nothing()]),
        Step::submit(json!([
            delete("v/a"),
            delete("v/absent"),
            put("v/z", "y"),
            delete("v/z"),
            put("v/z", "x")
        ])),
        Step::submit(json!([get("v/a"), get("v/z")])).replies([nothing(), shown("x").into()]),
    ]
}

fn many_values() -> Vec<Step> {
    let keys: Vec<_> = (0..250).map(|n| format!("m/{n:03}")).collect();
    let puts: Vec<_> = keys.iter().map(|key| put(key, key)).collect();
    let values: Vec<_> = keys.iter().map(shown).collect();
    vec![
        Step::submit(json!(puts)),
        Step::submit(json!([{ "op": "get_many", "keys": keys }, put("m/read", "all")]))
            .replies([values.join(",").into(), nothing()]),
        Step::submit(json!([{ "op": "get_many", "keys": ["m/007", "m/absent", "m/003", "m/007"] }]))
            .replies([format!("{},,{},{}", values[7], values[3], values[7]).into()]),
        Step::submit(json!([{ "op": "get_many", "keys": ["m/009"] }])).replies([values[9].clone().into()]),
    ]
}

fn more_than_a_batch() -> Vec<Step> {
    let puts: Vec<_> = (0..1_250).map(|n| put(&format!("b/{n:04}"), "x")).collect();
    let like: fn(&str) -> bool = |line| count(line) == 1_250;
    vec![
        Step::submit(json!(puts)),
        Step::submit(json!([{ "op": "range", "key": "b/", "value": "b0" }])).replies([Reply::Like(like)]),
    ]
}

fn ranges() -> Vec<Step> {
    let puts: Vec<_> = (0..230).map(|n| put(&format!("r/{n:03}"), "r")).collect();
    let range = |from: &str, to: &str| json!({ "op": "range", "key": from, "value": to });
    let first = |size: u16| json!({ "op": "first", "key": "r/", "value": "r0", "size": size });
    vec![
        Step::submit(json!(puts)),
        Step::submit(json!([
            range("r/", "r0"),
            range("r/010", "r/012"),
            range("r/x", "r/y"),
            put("r0/read", "all")
        ]))
        .replies([
            Reply::Like(|line| count(line) == 230),
            entries(&[("r/010", "r"), ("r/011", "r")]).into(),
            nothing(),
            nothing(),
        ]),
        Step::submit(json!([first(3), first(100), first(150), put("r0/read", "some")])).replies([
            entries(&[("r/000", "r"), ("r/001", "r"), ("r/002", "r")]).into(),
            Reply::Like(|line| count(line) == 100),
            Reply::Like(|line| count(line) == 150),
            nothing(),
        ]),
        // All simple keys, those of other scripts too, and no composite one.
        Step::submit(json!([range("", ""), range("r/228", ""), range("", "b")])).replies([
            Reply::Like(|line| count(line) >= 232 && line.split(',').all(|entry| !entry.starts_with("00"))),
            Reply::Like(|line| count(line) >= 2),
            Reply::Like(|_| true),
        ]),
    ]
}

/// A composite key, put together as Fabric does.
fn lot(parts: &[&str]) -> String {
    let parts: String = parts.iter().map(|part| format!("{part}\0")).collect();
    format!("\0lot\0{parts}")
}

fn composite_keys() -> Vec<Step> {
    let keys =
        [lot(&["north", ""]), lot(&["north", "7"]), lot(&["northern", "1"]), lot(&["south", "1"]), lot(&[])];
    let puts: Vec<_> = keys.iter().map(|key| put(key, "lot")).collect();
    let partial =
        |object_type: &str, keys: &[&str]| json!({ "op": "partial", "key": object_type, "keys": keys });
    let found = |keys: &[&String]| entries(&keys.iter().map(|key| (key.as_str(), "lot")).collect::<Vec<_>>());
    let [empty, seven, northern, south, bare] = &keys;
    vec![
        Step::submit(json!(puts)),
        Step::submit(json!([
            partial("lot", &["north"]),
            partial("lot", &["north", ""]),
            partial("lot", &[]),
            partial("none", &[]),
            put("lot/read", "all"),
        ]))
        .replies([
            found(&[empty, seven]).into(),
            found(&[empty]).into(),
            found(&[bare, empty, seven, northern, south]).into(),
            nothing(),
            nothing(),
        ]),
        Step::submit(json!([
            { "op": "composite", "key": "lot", "keys": ["north", "", "ü"] },
            { "op": "composite", "key": "lot" },
            delete(bare),
        ]))
        .replies([
            format!("{} lot north,,ü", shown(lot(&["north", "", "ü"]))).into(),
            format!("{} lot ", shown(lot(&[]))).into(),
            nothing(),
        ]),
        Step::refuse(json!([{ "op": "composite", "key": "lot", "keys": ["a\u{0}b"] }]), "FAILED composite"),
        Step::refuse(json!([{ "op": "composite", "key": "\u{10FFFF}" }]), "FAILED composite"),
        Step::refuse(json!([{ "op": "range", "key": lot(&[]) }]), "FAILED range"),
        Step::refuse(json!([{ "op": "range", "key": "a", "value": lot(&[]) }]), "FAILED range"),
    ]
}

fn history() -> Vec<Step> {
    let of = |key: &str| json!({ "op": "history", "key": key });
    vec![
        Step::submit(json!([put("h", "first")])),
        Step::submit(json!([delete("h")])),
        Step::submit(json!([put("h", "third")])),
        Step::submit(json!([of("h"), of("h/absent"), put("h", "fourth")])).replies([
            Reply::Like(|line| {
                let versions: Vec<_> = line.split(',').collect();
                versions.len() == 3
                    && versions[0].ends_with(&format!(":false:{}", shown("third")))
                    && versions[1].ends_with(":true:")
                    && versions[2].ends_with(&format!(":false:{}", shown("first")))
            }),
            nothing(),
            nothing(),
        ]),
    ]
}

fn private_values() -> Vec<Step> {
    let hash = |key: &str| json!({ "op": "hash", "key": key });
    let many: Vec<_> = (0..130).map(|n| put(&format!("p/{n:03}"), "p")).collect();
    let keys: Vec<_> = (0..130).map(|n| format!("p/{n:03}")).collect();
    vec![
        Step::submit(within(
            PAIR,
            json!([put("p/b", "1"), put("p/a", "1"), delete("p/b"), put("p/a", "2"), put("p/c", "ü\u{0}")]),
        )),
        Step::submit(within(
            PAIR,
            json!([
                get("p/a"), get("p/absent"), { "op": "get_many", "keys": ["p/c", "p/absent", "p/a", "p/b"] },
                hash("p/a"), hash("p/b"), put("p/d", "after reading"),
            ]),
        ))
        .replies([
            shown("2").into(),
            nothing(),
            format!("{},,{},", shown("ü\u{0}"), shown("2")).into(),
            shown(Sha256::digest("2")).into(),
            nothing(),
            nothing(),
        ]),
        Step::submit(within(PAIR, json!([delete("p/a"), delete("p/absent")]))),
        Step::submit(within(PAIR, json!([get("p/a"), hash("p/a"), hash("p/c")]))).replies([
            nothing(),
            nothing(),
            shown(Sha256::digest("ü\u{0}")).into(),
        ]),
        Step::submit(within(PAIR, json!(many))),
        Step::submit(within(PAIR, json!([{ "op": "get_many", "keys": keys }]))).replies([vec![
            shown("p");
            130
        ]
        .join(",")
        .into()]),
        // Public and private writes side by side.
        Step::submit(json!([
            put("p/public", "1"), { "op": "put", "collection": PAIR, "key": "p/public", "value": "2" },
            { "op": "put", "collection": IMPLICIT, "key": "p/public", "value": "3" },
        ])),
        Step::submit(json!([get("p/public"), { "op": "get", "collection": PAIR, "key": "p/public" }]))
            .replies([shown("1").into(), shown("2").into()]),
    ]
}

fn private_scans() -> Vec<Step> {
    let lots = [lot(&["north", ""]), lot(&["north", "7"]), lot(&["south", "1"])];
    let mut puts: Vec<_> = (0..130).map(|n| put(&format!("s/{n:03}"), "s")).collect();
    puts.extend(lots.iter().map(|key| put(key, "lot")));
    vec![
        Step::submit(within(PAIR, json!(puts))),
        Step::submit(within(PAIR, json!([
            { "op": "range", "key": "s/", "value": "s0" }, { "op": "range", "key": "s/010", "value": "s/012" },
            { "op": "first", "key": "s/", "value": "s0", "size": 1 },
            { "op": "partial", "key": "lot", "keys": ["north"] }, { "op": "partial", "key": "none" },
            { "op": "hash", "key": "s/001" },
        ])))
        .replies([
            Reply::Like(|line| count(line) == 130),
            entries(&[("s/010", "s"), ("s/011", "s")]).into(),
            entries(&[("s/000", "s")]).into(),
            entries(&[(&lots[0], "lot"), (&lots[1], "lot")]).into(),
            nothing(),
            shown(Sha256::digest("s")).into(),
        ]),
    ]
}

fn purge() -> Vec<Step> {
    let purge = |key: &str| json!({ "op": "purge", "key": key });
    let mut steps = Vec::new();
    for collection in [PAIR, OF_NORTH, IMPLICIT] {
        let look = json!([{ "op": "hash", "key": "u/a" }, { "op": "hash", "key": "u/b" }]);
        steps.extend([
            Step::submit(within(collection, json!([put("u/a", "1"), put("u/b", "2")]))),
            Step::submit(within(collection, json!([purge("u/a"), purge("u/absent"), put("u/c", "3")]))),
            Step::submit(within(collection, look)).replies([nothing(), shown(Sha256::digest("2")).into()]),
        ]);
    }
    steps.push(
        Step::submit(within(PAIR, json!([get("u/a"), get("u/b")]))).replies([nothing(), shown("2").into()]),
    );
    steps
}

fn of_one_organization() -> Vec<Step> {
    let mut steps = Vec::new();
    for collection in [OF_NORTH, IMPLICIT] {
        let read = json!([get("o/a"), { "op": "get_many", "keys": ["o/a"] }]);
        steps.extend([
            Step::submit(within(collection, json!([put("o/a", "1"), put("o/b", "2"), delete("o/b")]))),
            Step::submit(within(
                collection,
                json!([
                    { "op": "hash", "key": "o/a" }, { "op": "hash", "key": "o/b" }, put("o/c", "3"),
                ]),
            ))
            .replies([shown(Sha256::digest("1")).into(), nothing(), nothing()]),
            Step::of_north_alone(within(collection, read), "FAILED get")
                .replies([shown("1").into(), shown("1").into()]),
            Step::submit(within(collection, json!([delete("o/a")]))),
            Step::submit(within(collection, json!([{ "op": "hash", "key": "o/a" }, get("o/a")])))
                .replies([nothing(), nothing()]),
        ]);
    }
    steps
}

fn transient() -> Vec<Step> {
    vec![
        Step::submit(json!([{ "op": "transient" }, put("t", "1")]))
            .transient("price", b"7")
            .transient("bytes", b"\xff\x00")
            .replies(["bytes:ff00,price:37".into(), nothing()]),
        Step::submit(json!([{ "op": "transient" }])).replies([nothing()]),
    ]
}

/// A policy's bytes, put together without either shim.
fn envelope(n: i32, role: MspRoleType, msp_ids: &[&str]) -> String {
    let principal = |msp_id: &&str| MspPrincipal {
        principal_classification: Classification::Role.into(),
        principal: MspRole { msp_identifier: (*msp_id).to_owned(), role: role.into() }.encode_to_vec(),
    };
    let rules =
        (0..).take(msp_ids.len()).map(|index| SignaturePolicy { r#type: Some(Type::SignedBy(index)) });
    let rule = SignaturePolicy { r#type: Some(Type::NOutOf(NOutOf { n, rules: rules.collect() })) };
    let identities = msp_ids.iter().map(principal).collect();
    shown(SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities }.encode_to_vec())
}

fn policies(collection: Option<&str>) -> Vec<Step> {
    let on = |operations: Value| match collection {
        Some(collection) => within(collection, operations),
        None => operations,
    };
    let set = |key: &str, value: &str, msp_ids: &[&str]| json!({ "op": "set_policy", "key": key, "value": value, "keys": msp_ids });
    let policy = |key: &str| json!({ "op": "policy", "key": key });
    let both = ["NorthMSP", "SouthMSP"];
    let rule = envelope(1, MspRoleType::Peer, &both);
    vec![
        Step::submit(on(json!([
            put("k/a", "1"), set("k/a", "", &["SouthMSP", "NorthMSP", "SouthMSP"]),
            put("k/b", "1"), set("k/b", "member", &["NorthMSP"]),
            put("k/c", "1"), { "op": "set_rule", "key": "k/c", "value": rule },
            put("k/d", "1"), set("k/absent", "", &["NorthMSP"]),
        ]))),
        Step::submit(on(json!([
            policy("k/a"),
            policy("k/b"),
            policy("k/c"),
            policy("k/d"),
            policy("k/absent"),
            put("k/d", "2"),
        ])))
        .replies([
            envelope(2, MspRoleType::Peer, &both).into(),
            envelope(1, MspRoleType::Member, &["NorthMSP"]).into(),
            rule.into(),
            nothing(),
            nothing(),
            nothing(),
        ]),
        // A new value leaves the policy as it is.
        Step::submit(on(json!([put("k/a", "2")]))),
        Step::submit(on(json!([policy("k/a"), { "op": "clear_policy", "key": "k/a" }])))
            .replies([envelope(2, MspRoleType::Peer, &both).into(), nothing()]),
        Step::submit(on(json!([policy("k/a"), get("k/a"), delete("k/b")]))).replies([
            nothing(),
            shown("2").into(),
            nothing(),
        ]),
        Step::submit(on(json!([policy("k/b"), get("k/b")]))).replies([nothing(), nothing()]),
    ]
}

fn policies_in_force(collection: Option<&str>) -> Vec<Step> {
    const NORTH: &[&str] = &["NorthMSP"];
    const SOUTH: &[&str] = &["SouthMSP"];
    const REFUSED: TxValidationCode = TxValidationCode::EndorsementPolicyFailure;
    const VALID: TxValidationCode = TxValidationCode::Valid;
    let on = |operations: Value| match collection {
        Some(collection) => within(collection, operations),
        None => operations,
    };
    let any = envelope(1, MspRoleType::Peer, &["NorthMSP", "SouthMSP"]);
    vec![
        Step::submit(on(json!([
            put("f/a", "1"), { "op": "set_rule", "key": "f/a", "value": any },
            put("f/b", "1"), { "op": "set_policy", "key": "f/b", "keys": NORTH }, put("f/c", "1"),
        ]))),
        Step::submit(on(json!([put("f/a", "2")]))).endorsed_by(NORTH, VALID),
        Step::submit(on(json!([put("f/a", "3")]))).endorsed_by(SOUTH, VALID),
        Step::submit(on(json!([put("f/b", "2")]))).endorsed_by(NORTH, VALID),
        Step::submit(on(json!([put("f/b", "3")]))).endorsed_by(SOUTH, REFUSED),
        Step::submit(on(json!([put("f/c", "2")]))).endorsed_by(NORTH, REFUSED),
        Step::submit(on(json!([{ "op": "clear_policy", "key": "f/a" }]))).endorsed_by(SOUTH, VALID),
        Step::submit(on(json!([put("f/a", "4")]))).endorsed_by(SOUTH, REFUSED),
        Step::submit(on(json!([get("f/a"), get("f/b"), get("f/c")]))).replies([
            shown("3").into(),
            shown("2").into(),
            shown("1").into(),
        ]),
    ]
}

fn facts() -> Vec<Step> {
    let identity = json!({ "op": "identity", "keys": ["role", "empty", "absent"] });
    let known: fn(&str) -> bool = |line| line.starts_with("role=clerk,empty=,absent true true 30");
    let facts: fn(&str) -> bool = |line| {
        let facts: Vec<_> = line.split(' ').collect();
        facts.len() == 13
            && facts[0].len() == 64
            && facts[1] == "consortium"
            && facts[4].len() == 64
            && facts[5] == "price:37"
            && facts[9..] == ["NorthMSP", "clerk", "clerk@north.example.com", "client"]
    };
    vec![
        Step::submit(json!([{ "op": "facts" }, put("facts", "1")]))
            .transient("price", b"7")
            .replies([Reply::Like(facts), nothing()]),
        Step::submit(json!([identity, put("identity", "1")])).replies([Reply::Like(known), nothing()]),
    ]
}

fn arguments() -> Vec<Step> {
    let args = json!([{ "op": "args" }, put("args", "1")]);
    vec![
        Step::submit(args.clone())
            .arg(b"\xff\xfe\x00")
            .arg(b"")
            .arg("ü".as_bytes())
            .replies(["Run fffe00  c3bc".into(), nothing()]),
        Step::submit(args).replies(["Run".into(), nothing()]),
    ]
}

fn events() -> Vec<Step> {
    let event = |name: &str, payload: &str| json!({ "op": "event", "key": name, "value": payload });
    vec![
        Step::submit(json!([put("e", "1"), event("changed", "a"), event("changed again", "ü\u{0}")])),
        Step::submit(json!([event("alone", "")])),
        Step::refuse(json!([put("e", "2"), event("", "a")]), "FAILED event"),
    ]
}

fn calls() -> Vec<Step> {
    let call = |channel: &str, operations: Value| json!({ "op": "call", "key": CALLEE, "value": channel, "keys": ["Run", operations.to_string()] });
    let reply = |status: i32, message: &str, payload: &str| {
        Reply::from(format!("{status} {message} {}", shown(payload)))
    };
    let noisy = json!([put("c/a", "1"), { "op": "event", "key": "callee", "value": "dropped" }, get("c/a")]);
    vec![
        Step::submit(json!([call("", noisy), put("c/a", "of the caller")]))
            .replies([reply(200, "", "\n\n"), nothing()]),
        // What it wrote is its own, and committed.
        Step::submit(json!([call("", json!([get("c/a")])), get("c/a")]))
            .replies([reply(200, "", &shown("1")), shown("of the caller").into()]),
        // The same channel by its name; the caller's event is the transaction's.
        Step::submit(json!([
            call("consortium", json!([{ "op": "range", "key": "c/", "value": "c0" }, put("c/b", "2")])),
            { "op": "event", "key": "caller", "value": "kept" },
        ]))
        .replies([reply(200, "", &format!("{}\n", entries(&[("c/a", "1")]))), nothing()]),
        // Its failure is a reply.
        Step::submit(json!([
            call("", json!([get("c/a"), { "op": "fail", "value": "NO" }])),
            put("c/c", "1")
        ]))
        .replies([reply(500, "NO", ""), nothing()]),
        Step::differ_in_writes_of_a_failed(
            CALLEE,
            json!([call("", json!([put("c/a", "2"), { "op": "fail", "value": "NO" }])), put("c/c", "2")]),
        )
        .replies([reply(500, "NO", ""), nothing()]),
        // It has the first one's caller, proposal and transient data.
        Step::submit(json!([call("", json!([{ "op": "facts" }, { "op": "transient" }])), put("c/d", "1")]))
            .transient("price", b"7"),
    ]
}

fn calls_elsewhere() -> Vec<Step> {
    let call = |operations: Value| json!({ "op": "call", "key": CALLEE, "value": ELSEWHERE, "keys": ["Run", operations.to_string()] });
    let reply = |payload: &str| Reply::from(format!("200  {}", shown(payload)));
    vec![
        Step::submit(json!([call(json!([get(PLACE), put(PLACE, "nowhere")])), put("l", "1")]))
            .replies([reply(&format!("{}\n", shown(ELSEWHERE))), nothing()]),
        // There it can only read.
        Step::submit(json!([call(json!([get(PLACE)])), put("l", "2")]))
            .replies([reply(&shown(ELSEWHERE)), nothing()]),
        Step::evaluate(json!([call(json!([{ "op": "range" }, { "op": "transient" }]))]))
            .transient("price", b"7")
            .replies([reply(&format!("{}\nprice:37", entries(&[(PLACE, ELSEWHERE)])))]),
    ]
}

fn calls_in_vain() -> Vec<Step> {
    let call = |chaincode: &str, channel: &str| json!({ "op": "call", "key": chaincode, "value": channel, "keys": ["Run", "[]"] });
    let refused: fn(&str) -> bool = |line| line.starts_with("500  ") && line.len() > 20;
    vec![
        Step::submit(json!([call("absent", ""), put("n", "1")])).replies([Reply::Like(refused), nothing()]),
        Step::submit(json!([call(CALLEE, "nowhere"), put("n", "2")]))
            .replies([Reply::Like(refused), nothing()]),
        // Chaincode that calls itself within one transaction.
        Step::submit(json!([call("every", ""), put("n", "3")])).replies([Reply::Like(refused), nothing()]),
    ]
}

fn pages() -> Vec<Step> {
    let lots: Vec<_> = (0..5).map(|n| format!("\0page\0{n}\0")).collect();
    let mut puts: Vec<_> = lots.iter().map(|key| put(key, "l")).collect();
    puts.extend((0..5).map(|n| put(&format!("!{n}"), "p")));
    let range = |size: u16, bookmark: &str| json!({ "op": "range_page", "size": size, "value": bookmark });
    let partial = |size: u16, bookmark: &str| json!({ "op": "partial_page", "key": "page", "size": size, "value": bookmark });
    let page =
        |keys: &[(&str, &str)], next: &str| Reply::from(format!("{} next {}", entries(keys), shown(next)));
    vec![
        Step::submit(json!(puts)),
        Step::evaluate(json!([
            range(2, ""), range(3, "!2"), partial(2, ""), partial(2, &lots[2]), partial(2, &lots[4]),
            { "op": "partial_page", "key": "none", "size": 2 },
            { "op": "partial_page", "key": "page", "keys": ["3"], "size": 2 },
        ]))
        .replies([
            page(&[("!0", "p"), ("!1", "p")], "!2"),
            Reply::Like(|line| line.starts_with(&entries(&[("!2", "p"), ("!3", "p"), ("!4", "p")]))),
            page(&[(&lots[0], "l"), (&lots[1], "l")], &lots[2]),
            page(&[(&lots[2], "l"), (&lots[3], "l")], &lots[4]),
            page(&[(&lots[4], "l")], ""),
            page(&[], ""),
            page(&[(&lots[3], "l")], ""),
        ]),
        Step::evaluate(
            json!([{ "op": "composite_page", "size": 2 }, { "op": "composite_page", "size": 1_000 }]),
        )
        .replies([
            Reply::Like(|line| line.contains(" next 00")),
            Reply::Like(|line| line.ends_with(" next ") && count(line) >= 5),
        ]),
        // Fabric reads on from any bookmark.
        Step::refuse_by_ours(json!([partial(2, "!0")]), "FAILED partial_page"),
        // A transaction that writes nothing may be ordered with them.
        Step::submit(json!([range(2, "")])).replies([page(&[("!0", "p"), ("!1", "p")], "!2")]),
    ]
}

fn rich_queries() -> Vec<Step> {
    let selector = r#"{"selector":{"owner":"north"}}"#;
    let refusal = |size: u16, collection: &str| json!({ "op": "refusal", "value": selector, "size": size, "collection": collection });
    let leveldb: fn(&str) -> bool = |line| line.ends_with("not supported for leveldb");
    let words = || Reply::Like(leveldb);
    vec![
        Step::evaluate(json!([refusal(0, ""), refusal(3, ""), refusal(0, PAIR)])).replies([
            words(),
            words(),
            words(),
        ]),
        Step::submit(json!([refusal(0, "")])).replies([words()]),
        Step::refuse(json!([{ "op": "query", "value": selector }]), "FAILED query"),
        Step::refuse(json!([{ "op": "query", "value": selector, "collection": PAIR }]), "FAILED query"),
        Step::refuse(json!([{ "op": "query_page", "key": selector, "size": 3 }]), "FAILED query_page"),
    ]
}

fn failures() -> Vec<Step> {
    let absent = |op: &str| json!([{ "op": op, "collection": "absent", "key": "k", "value": "1" }]);
    vec![
        Step::refuse(json!([put("x", "1"), get("x"), { "op": "fail", "value": "NO" }]), "NO"),
        Step::refuse(
            json!([{ "op": "fail", "value": "ü: no text of 7-bit letters" }]),
            "ü: no text of 7-bit letters",
        ),
        Step::refuse(json!([put("x", "1"), { "op": "unknown" }]), "FAILED unknown"),
        Step::refuse(json!("no list"), "ARGUMENTS"),
        Step::refuse(json!([put("", "1")]), "FAILED put"),
        Step::refuse(absent("get"), "FAILED get"),
        Step::refuse(absent("hash"), "FAILED hash"),
        Step::refuse(absent("policy"), "FAILED policy"),
        Step::refuse(absent("range"), "FAILED range"),
        Step::refuse_in_own_words(absent("put")),
        // Fabric takes an empty value for a deletion.
        Step::refuse_by_ours(json!([put("x", "")]), "FAILED put"),
        Step::evaluate(json!([get("x")])).replies([nothing()]),
    ]
}

fn combinations() -> Vec<Step> {
    let page = json!({ "op": "range_page", "size": 2 });
    let scan = json!({ "op": "range", "collection": PAIR });
    vec![
        Step::refuse_in_own_words(json!([put("w", "1"), page])),
        Step::refuse_in_own_words(json!([page, put("w", "1")])),
        Step::refuse_in_own_words(json!([put("w", "1"), scan])),
        Step::refuse_in_own_words(json!([scan, put("w", "1")])),
        Step::evaluate(json!([get("w")])).replies([nothing()]),
    ]
}
