//! Arguments that are none, and text that would be a line of a log.

use std::fs;

use caretrail_model::code::Code;
use caretrail_model::limits::{ARGUMENT_BYTES_MAX, STATEMENT_BYTES_MAX};
use hlf_gateway::Proposal;
use serde_json::json;

use crate::callers::{Certificate, gateway_of};
use crate::world::Siege;

/// What a forged line of a log would begin with.
const FORGED: &str = "FORGED-BY-AN-ATTACKER";

fn proposal(siege: &Siege, function: &str, args: &[&[u8]]) -> Proposal {
    let contract = siege.gateway("south/service").contract("records", "caretrail");
    let proposal = contract.proposal(function).args(args.iter().map(|arg| arg.to_vec()));
    proposal.endorsing_organizations(["NorthMSP", "SouthMSP"]).build().unwrap()
}

/// Both builds of the contract refuse it with this code.
async fn demand_refused(siege: &Siege, what: &str, function: &str, args: &[&[u8]], code: Code) {
    let refused = siege.both.refused(&proposal(siege, function, args)).await;
    assert_eq!(refused, (code.status(), code.as_str().to_owned()), "{what}");
}

pub(crate) async fn arguments_are_oversized_deep_duplicate_or_no_text(siege: &mut Siege) {
    let patient = siege.patient.id;
    let good = format!(r#"{{"patient":"{patient}"}}"#);
    let padded = format!(r#"{{"patient":"{patient}"{}}}"#, " ".repeat(ARGUMENT_BYTES_MAX));
    let deep = format!(r#"{{"patient":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let deep_objects = format!(r#"{{"patient":{}1{}}}"#, r#"{"a":"#.repeat(20_000), "}".repeat(20_000));
    let twice = format!(r#"{{"patient":"{patient}","patient":"{patient}"}}"#);
    let escaped_twice = format!(r#"{{"patient":"{patient}","p\u0061tient":"{patient}"}}"#);
    let no_text = [b"{\"patient\":\"".as_slice(), &[0xff; 32], b"\"}"].concat();
    let overlong = [b"{\"patient\":\"".as_slice(), &[0xc0, 0xaf], b"\"}"].concat();
    let surrogate = r#"{"patient":"\ud800"}"#.to_owned();
    let more = format!(r#"{{"patient":"{patient}","admin":true}}"#);
    let behind = format!("{good}{good}");
    let list = format!(r#"["{patient}"]"#);
    let shouted = good.replace(&patient.to_string(), &"A".repeat(32));
    let bytes: [(&str, &[u8]); 13] = [
        ("deep", deep.as_bytes()),
        ("deep objects", deep_objects.as_bytes()),
        ("a key twice", twice.as_bytes()),
        ("a key twice, once escaped", escaped_twice.as_bytes()),
        ("no UTF-8", &no_text),
        ("overlong UTF-8", &overlong),
        ("half a surrogate", surrogate.as_bytes()),
        ("an unknown key", more.as_bytes()),
        ("something behind it", behind.as_bytes()),
        ("a list", list.as_bytes()),
        ("upper-case hex", shouted.as_bytes()),
        ("null", b"null"),
        ("nothing", b""),
    ];
    for (what, argument) in bytes {
        demand_refused(siege, what, "GetPatient", &[argument], Code::ArgumentInvalid).await;
    }
    let oversized = padded.as_bytes();
    demand_refused(siege, "oversized", "GetPatient", &[oversized], Code::ArgumentOutOfBounds).await;
    demand_refused(siege, "oversized", "GrantConsent", &[oversized], Code::ArgumentOutOfBounds).await;

    let actor = siege.actor("south/ben");
    let list = format!(r#"{{"actor":["{}","{}"]}}"#, actor.msp_id, actor.subject);
    demand_refused(siege, "a list within", "GetStanding", &[list.as_bytes()], Code::ArgumentInvalid).await;

    // In the text that a patient signs as well.
    let statement = |text: String| {
        json!({ "signed": { "statement": text, "proof": { "kind": "es256", "signature": "" } } }).to_string()
    };
    for (what, text) in [
        ("a statement too long", " ".repeat(STATEMENT_BYTES_MAX + 1)),
        ("a deep statement", "[".repeat(10_000)),
        ("a deep body", format!(r#"{{"body":{}"#, r#"{"a":"#.repeat(3_000))),
    ] {
        let argument = statement(text);
        demand_refused(siege, what, "GrantConsent", &[argument.as_bytes()], Code::StatementMalformed).await;
    }
    // Both peers' services are well, and answer what is asked properly.
    siege.both.alike(&proposal(siege, "GetPatient", &[good.as_bytes()])).await;
}

pub(crate) async fn lines_are_forged_for_the_log(siege: &mut Siege) {
    let time = "2026-01-01T00:00:00.000000Z";
    let line = format!("x\n{time}  INFO {FORGED}\r\u{1b}[2K\u{2028}{FORGED}");
    let quoted = serde_json::to_string(&line).unwrap();
    // As an id, as a name, as the text of a statement, as the function, and raw.
    demand_refused(
        siege,
        "an id",
        "GetPatient",
        &[format!(r#"{{"patient":{quoted}}}"#).as_bytes()],
        Code::ArgumentInvalid,
    )
    .await;
    let actor = format!(r#"{{"actor":{{"msp_id":{quoted},"subject":{quoted}}}}}"#);
    demand_refused(siege, "a name", "GetStanding", &[actor.as_bytes()], Code::ArgumentInvalid).await;
    let policy = json!({ "policy": line }).to_string();
    let contract = siege.gateway("south/admin").contract("records", "caretrail");
    let proposed = contract.proposal("ProposePolicy").arg(policy).build().unwrap();
    assert_eq!(siege.both.refused(&proposed).await.1, Code::PolicyInvalid.as_str());
    demand_refused(siege, "raw", "GetPatient", &[line.as_bytes()], Code::ArgumentInvalid).await;
    let function = siege.both.refused(&proposal(siege, &line, &[b"{}"])).await;
    assert!(!function.1.contains('\n') && !function.1.contains('\u{1b}'), "{function:?}");
    // As the name in a certificate, and as its role.
    let subject = siege.actor("south/service").subject.to_string();
    for certificate in [
        Certificate { common_name: line.clone(), ..Certificate::of(&subject) },
        Certificate {
            attributes: json!({ "attrs": { "caretrail.role": line, "caretrail.subject": subject } })
                .to_string(),
            ..Certificate::of(&subject)
        },
    ] {
        let gateway = gateway_of(siege, "south", "SouthMSP", &certificate);
        let policy =
            gateway.contract("records", "caretrail").proposal("GetPolicy").arg("{}").build().unwrap();
        assert_eq!(siege.both.refused(&policy).await.1, Code::IdentityInvalid.as_str());
    }

    for hospital in ["north", "south"] {
        let file = siege.hospitals.network().layout().log(&format!("chaincode.{hospital}.example.com"));
        let log = fs::read_to_string(&file).unwrap();
        // South's says little, North's is asked to say a lot: what the attacker sent is in it, as a part of a line.
        assert!(hospital == "south" || log.contains(FORGED), "{hospital}: nothing was logged of it");
        for said in log.split('\n').filter(|said| !said.is_empty()) {
            let begins = said.get(..4).is_some_and(|year| year.bytes().all(|byte| byte.is_ascii_digit()));
            assert!(
                begins && !said.starts_with(time),
                "{hospital}: a line that the service did not begin\n{said}"
            );
            assert!(!said.contains(['\r', '\u{1b}', '\u{2028}']), "{hospital}: {said}");
        }
    }
}
