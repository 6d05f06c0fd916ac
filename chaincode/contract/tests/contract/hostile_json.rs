//! JSON that two readers could read differently, or that is in no schema: refused wherever it comes in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caretrail_model::calls::{GrantConsent, ProposePolicy, RegisterPatient};
use caretrail_model::code::Code;
use caretrail_model::consent::{Grantee, Provision, Scope};
use caretrail_model::ids::RecordId;
use caretrail_model::role::Role;
use caretrail_model::statement::{Ending, Grant, Operation, Proof, SignedStatement};
use hlf_testpeer::Proposal;
use p256::ecdsa::Signature;
use p256::ecdsa::signature::Signer as _;

use crate::world::{Person, Staff, World, admin, commitments, person, policy, random, refusal, staff};

/// A text with one place changed; the change must find its place.
fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "`{from}` is not in {text}");
    text.replacen(from, to, 1)
}

struct Ward {
    world: World,
    carrier: Staff,
    reader: Staff,
    patient: Person,
}

async fn ward() -> Ward {
    let world = World::constituted().await;
    let reader = world.clinician("SouthMSP").await;
    let patient = world.patient("NorthMSP").await;
    Ward { world, carrier: staff("SouthMSP", Role::Service), reader, patient }
}

impl Ward {
    /// The text of a fresh grant.
    fn granting(&self, adjust: impl FnOnce(&mut Provision)) -> String {
        let mut provision = self.world.provision(&self.reader);
        adjust(&mut provision);
        let grant = Grant { provision, supersedes: None };
        self.patient.sign(self.world.statement(&self.patient, Operation::GrantConsent(grant))).statement
    }

    async fn refused(&self, text: String) -> Code {
        let call = GrantConsent { signed: sign_text(&self.patient, text) };
        self.world.refused(&self.carrier, &call).await
    }

    /// Sends an argument as it is.
    async fn refused_argument(&self, caller: &Staff, call: &str, argument: String) -> Code {
        let proposal = Proposal::new(caller.creator.serialized(), call).arg(argument);
        refusal(&self.world.peer.invoke(&proposal).await.unwrap())
    }
}

/// The patient's own signature over whatever the text is.
fn sign_text(person: &Person, text: String) -> SignedStatement {
    let signature: Signature = person.key.sign(text.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(signature.normalize_s().to_bytes());
    SignedStatement { statement: text, proof: Proof::Es256 { signature } }
}

/// JSON nested deeper than any reader goes.
fn deep() -> String {
    format!("{}{}", "[".repeat(2_000), "]".repeat(2_000))
}

#[tokio::test]
async fn a_statement_that_says_something_twice_is_refused() {
    let ward = ward().await;
    let person = |_: &mut Provision| {};
    let custodian = |p: &mut Provision| p.scope = Scope::Custodian { msp_id: "NorthMSP".parse().unwrap() };
    let records =
        |p: &mut Provision| p.scope = Scope::Records { records: vec![RecordId::from_bytes([1; 16])] };
    let hospital = |p: &mut Provision| p.grantee = Grantee::Hospital { msp_id: "SouthMSP".parse().unwrap() };
    type Adjust = fn(&mut Provision);
    let cases: [(Adjust, &str, &str); 19] = [
        (person, "{\"format\"", "{\"format\":\"caretrail-statement/1\",\"format\""),
        (person, "\"operation\":", "\"operation\":\"end_consent\",\"operation\":"),
        (person, "\"body\":", "\"body\":{},\"body\":"),
        (person, "{\"provision\":", "{\"supersedes\":null,\"supersedes\":null,\"provision\":"),
        (person, "\"effect\":\"permit\"", "\"effect\":\"deny\",\"effect\":\"permit\""),
        (person, "\"effect\":\"permit\"", "\"\\u0065ffect\":\"deny\",\"effect\":\"permit\""),
        (person, "\"grantee\":", "\"grantee\":{\"kind\":\"hospital\",\"msp_id\":\"SouthMSP\"},\"grantee\":"),
        (person, "\"kind\":\"person\"", "\"kind\":\"person\",\"kind\":\"person\""),
        (person, "\"kind\":\"person\"", "\"kind\":\"hospital\",\"kind\":\"person\""),
        (person, "\"kind\":\"person\"", "\"kind\":\"person\",\"\\u006bind\":\"hospital\""),
        (person, "\"msp_id\":", "\"msp_id\":\"NorthMSP\",\"msp_id\":"),
        (person, "\"subject\":", "\"subject\":\"00112233445566778899aabbccddeeff\",\"subject\":"),
        (hospital, "\"msp_id\":", "\"msp_id\":\"NorthMSP\",\"msp_id\":"),
        (person, "\"kind\":\"all\"", "\"kind\":\"all\",\"kind\":\"all\""),
        (person, "\"kind\":\"all\"", "\"kind\":\"all\",\"kind\":\"records\""),
        (custodian, "\"kind\":\"custodian\"", "\"kind\":\"custodian\",\"msp_id\":\"SouthMSP\""),
        (records, "\"records\":", "\"records\":[],\"records\":"),
        (person, "\"period\":{", "\"period\":{\"from\":0,"),
        (person, "\"purposes\":", "\"purposes\":[\"HRESCH\"],\"purposes\":"),
    ];
    for (adjust, from, to) in cases {
        let text = changed(&ward.granting(adjust), from, to);
        assert_eq!(ward.refused(text.clone()).await, Code::StatementMalformed, "{text}");
    }
}

#[tokio::test]
async fn a_statement_that_says_something_unknown_is_refused() {
    let ward = ward().await;
    let custodian = |p: &mut Provision| p.scope = Scope::Custodian { msp_id: "NorthMSP".parse().unwrap() };
    let hospital = |p: &mut Provision| p.grantee = Grantee::Hospital { msp_id: "SouthMSP".parse().unwrap() };
    type Adjust = fn(&mut Provision);
    let deep = format!("{{\"format\":{},", deep());
    let cases: [(Adjust, &str, &str); 12] = [
        (|_| {}, "{\"format\"", "{\"x\":1,\"format\""),
        (|_| {}, "{\"provision\":", "{\"x\":1,\"provision\":"),
        (|_| {}, "\"effect\":", "\"x\":1,\"effect\":"),
        (|_| {}, "\"kind\":\"person\"", "\"kind\":\"person\",\"role\":\"clinician\""),
        (hospital, "\"kind\":\"hospital\"", "\"kind\":\"hospital\",\"role\":\"clinician\""),
        (custodian, "\"kind\":\"custodian\"", "\"kind\":\"custodian\",\"records\":[]"),
        (|_| {}, "\"period\":{", "\"period\":{\"x\":1,"),
        (|_| {}, "\"kind\":\"person\"", "\"kind\":\"everybody\""),
        (|_| {}, "\"kind\":\"person\"", "\"kind\":\"Person\""),
        (|_| {}, "grant_consent", "Grant_consent"),
        (|_| {}, "caretrail-statement/1", "caretrail-statement/2"),
        (|_| {}, "{\"format\":\"caretrail-statement/1\",", &deep),
    ];
    for (adjust, from, to) in cases {
        let text = changed(&ward.granting(adjust), from, to);
        assert_eq!(ward.refused(text.clone()).await, Code::StatementMalformed, "{text}");
    }
    let deep = changed(&ward.granting(|_| {}), "{\"kind\":\"all\"}", &self::deep());
    assert_eq!(ward.refused(deep).await, Code::StatementMalformed);
    for text in [format!("{} x", ward.granting(|_| {})), format!("\u{feff}{}", ward.granting(|_| {}))] {
        assert_eq!(ward.refused(text.clone()).await, Code::StatementMalformed, "{text}");
    }
}

/// A patient who reads `records` there would believe that the consent is for these records alone.
#[tokio::test]
async fn a_scope_of_everything_says_nothing_else() {
    let ward = ward().await;
    for more in [
        "\"x\":1",
        "\"records\":[\"00112233445566778899aabbccddeeff\"]",
        "\"msp_id\":\"NorthMSP\",\"msp_id\":\"SouthMSP\"",
    ] {
        let text = changed(&ward.granting(|_| {}), "\"kind\":\"all\"", &format!("\"kind\":\"all\",{more}"));
        assert_eq!(ward.refused(text.clone()).await, Code::StatementMalformed, "{text}");
    }
}

#[tokio::test]
async fn an_instant_is_a_whole_number_below_two_to_the_53() {
    let ward = ward().await;
    let from = format!("\"from\":{}", ward.world.now());
    for number in
        ["1.0", "1e3", "-0", "-1", "9007199254740992", "18446744073709551616", "\"1\"", "null", "[1]"]
    {
        let text = changed(&ward.granting(|_| {}), &from, &format!("\"from\":{number}"));
        assert_eq!(ward.refused(text.clone()).await, Code::StatementMalformed, "{text}");
        let text = ward.granting(|_| {});
        let submit_by = text.split("\"submit_by\":").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
        let submit_by = format!("\"submit_by\":{submit_by}");
        let text = changed(&text, &submit_by, &format!("\"submit_by\":{number}"));
        assert_eq!(ward.refused(text.clone()).await, Code::StatementMalformed, "{text}");
    }
    let last = changed(&ward.granting(|_| {}), &from, "\"from\":9007199254740991");
    assert_eq!(ward.refused(last).await, Code::ConsentInvalid, "a number, but after the end");
}

/// Objects are objects, and names are texts: nothing has a second spelling in another type.
#[tokio::test]
async fn a_statement_has_one_shape() {
    let ward = ward().await;
    let text = ward.granting(|_| {});
    let provision = ward.world.provision(&ward.reader);
    let period = format!("{{\"from\":{},\"until\":{}}}", provision.period.from, provision.period.until);
    let as_list = format!("[{},{}]", provision.period.from, provision.period.until);
    let grantee = serde_json::to_string(&provision.grantee).unwrap();
    let grantee_list = format!("[\"person\",\"SouthMSP\",\"{}\"]", ward.reader.actor.subject);
    let body = serde_json::to_string(&Grant { provision: provision.clone(), supersedes: None }).unwrap();
    let body_list = format!("[{},null]", serde_json::to_string(&provision).unwrap());
    let cases = [
        (period.as_str(), as_list.as_str()),
        (grantee.as_str(), grantee_list.as_str()),
        (body.as_str(), body_list.as_str()),
        ("{\"kind\":\"all\"}", "[\"all\"]"),
        ("{\"kind\":\"all\"}", "\"all\""),
        ("\"permit\"", "{\"permit\":null}"),
        ("\"TREAT\"", "{\"TREAT\":null}"),
        ("\"read\"", "{\"read\":null}"),
    ];
    let mut accepted = Vec::new();
    for (from, to) in cases {
        let text = changed(&ward.granting(|_| {}), from, to);
        let call = GrantConsent { signed: sign_text(&ward.patient, text) };
        let outcome = ward.world.peer.invoke(&ward.world.proposal(&ward.carrier, &call)).await.unwrap();
        if outcome.is_ok() {
            accepted.push(to.to_owned());
        }
    }
    let values: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let order =
        ["format", "channel", "chaincode", "patient", "id", "nonce", "key", "submit_by", "operation", "body"];
    let list = serde_json::to_string(&order.map(|name| &values[name])).unwrap();
    let call = GrantConsent { signed: sign_text(&ward.patient, list) };
    let outcome = ward.world.peer.invoke(&ward.world.proposal(&ward.carrier, &call)).await.unwrap();
    if outcome.is_ok() {
        accepted.push("the whole statement as a list".to_owned());
    }
    assert_eq!(accepted, Vec::<String>::new());
}

#[tokio::test]
async fn the_same_text_in_escapes_is_the_same_text() {
    let ward = ward().await;
    let text = changed(&ward.granting(|_| {}), "\"kind\":\"person\"", "\"\\u006bind\":\"\\u0070erson\"");
    let text = changed(&text, "\"SouthMSP\"", "\"S\\u006futhMSP\"");
    let text = changed(&text, "\"effect\":\"permit\"", "\"effect\":\"perm\\u0069t\"");
    let text = changed(&text, ",\"purposes\"", " ,\n\t\"purposes\" ");
    ward.world.done(&ward.carrier, &GrantConsent { signed: sign_text(&ward.patient, text) }).await;
    let nul = changed(&ward.granting(|_| {}), "\"SouthMSP\"", "\"South\\u0000MSP\"");
    assert_eq!(ward.refused(nul).await, Code::StatementMalformed);
    let half = changed(&ward.granting(|_| {}), "\"SouthMSP\"", "\"South\\ud800MSP\"");
    assert_eq!(ward.refused(half).await, Code::StatementMalformed);
}

#[tokio::test]
async fn the_other_operations_are_read_as_strictly() {
    let ward = ward().await;
    let consent = ward.world.grant(&ward.patient, ward.world.provision(&ward.reader), &ward.carrier).await;
    let ending = || {
        let operation = Operation::EndConsent(Ending { consent });
        ward.patient.sign(ward.world.statement(&ward.patient, operation)).statement
    };
    for (from, to) in [
        ("{\"consent\":", "{\"x\":1,\"consent\":"),
        ("{\"consent\":", "{\"consent\":\"00112233445566778899aabbccddeeff\",\"consent\":"),
    ] {
        let signed = sign_text(&ward.patient, changed(&ending(), from, to));
        let call = caretrail_model::calls::EndConsent { signed };
        assert_eq!(ward.world.refused(&ward.carrier, &call).await, Code::StatementMalformed, "{to}");
    }
    let newcomer = person("NorthMSP");
    let registration = ward.world.registration(&newcomer).statement;
    for (from, to) in [
        ("{\"home\":", "{\"x\":1,\"home\":"),
        ("{\"home\":", "{\"home\":\"SouthMSP\",\"home\":"),
        ("\"public_key\":\"B", "\"public_key\":\"C"),
    ] {
        let call = RegisterPatient { signed: sign_text(&newcomer, changed(&registration, from, to)) };
        let north = staff("NorthMSP", Role::Service);
        assert_eq!(ward.world.refused(&north, &call).await, Code::StatementMalformed, "{to}");
    }
}

#[tokio::test]
async fn arguments_are_read_as_strictly_as_statements() {
    let ward = ward().await;
    let north = admin("NorthMSP");
    let signed = ward.patient.sign(ward.world.statement(
        &ward.patient,
        Operation::GrantConsent(Grant { provision: ward.world.provision(&ward.reader), supersedes: None }),
    ));
    let Proof::Es256 { signature } = &signed.proof else { panic!("another proof") };
    let grant = serde_json::to_string(&GrantConsent { signed: signed.clone() }).unwrap();
    let access = format!(
        "{{\"request\":\"{0}\",\"patient\":\"{0}\",\"records\":[\"{0}\"],\"action\":\"read\",\"purpose\":\"TREAT\"}}",
        "00112233445566778899aabbccddeeff"
    );
    let authorize = format!(
        "{{\"subject\":\"{}\",\"role\":\"clinician\",\"purposes\":[\"TREAT\"],\"until\":{}}}",
        ward.reader.actor.subject,
        ward.world.now().get() + 1
    );
    let amend = format!(
        "{{\"patient\":\"{0}\",\"record\":\"{0}\",\"version\":2,\"commitments\":{1}}}",
        "00112233445566778899aabbccddeeff",
        serde_json::to_string(&commitments()).unwrap()
    );
    let deep = deep();
    let cases: Vec<(&str, &str, &str, String)> = vec![
        ("GrantConsent", &grant, "\"kind\":\"es256\"", "\"kind\":\"es256\",\"kind\":\"es256\"".into()),
        ("GrantConsent", &grant, "\"kind\":\"es256\"", "\"kind\":\"es256\",\"x\":1".into()),
        ("GrantConsent", &grant, "\"kind\":\"es256\"", "\"kind\":\"none\"".into()),
        ("GrantConsent", &grant, "\"kind\":\"es256\"", format!("\"kind\":\"es256\",\"x\":{deep}")),
        ("GrantConsent", &grant, "\"signature\":", "\"signature\":\"\",\"signature\":".into()),
        ("GrantConsent", &grant, "\"proof\":", "\"proof\":null,\"proof\":".into()),
        ("GrantConsent", &grant, "{\"signed\":", "{\"signed\":null,\"signed\":".into()),
        ("RequestAccess", &access, "\"action\":\"read\"", "\"action\":\"write\",\"action\":\"read\"".into()),
        ("RequestAccess", &access, "\"action\":\"read\"", "\"action\":\"Read\"".into()),
        ("RequestAccess", &access, "\"purpose\":\"TREAT\"", "\"purpose\":\"treat\"".into()),
        ("RequestAccess", &access, "\"purpose\":\"TREAT\"", "\"purpose\":\"TREAT\",\"actor\":1".into()),
        ("AuthorizePractitioner", &authorize, "\"until\":", "\"until\":1.5,\"x\":".into()),
        ("AuthorizePractitioner", &authorize, "\"until\":1", "\"until\":9007199254740992,\"x\":1".into()),
        ("AmendRecord", &amend, "\"version\":2", "\"version\":2.0".into()),
        ("AmendRecord", &amend, "\"version\":2", "\"version\":1,\"version\":2".into()),
        ("AmendRecord", &amend, "\"version\":2", "\"version\":-2".into()),
        ("AmendRecord", &amend, "\"sealed_bytes\":4096", "\"sealed_bytes\":4096.0".into()),
        ("AmendRecord", &amend, "\"sealed_bytes\":", "\"sealed_bytes\":1,\"sealed_bytes\":".into()),
    ];
    for (call, argument, from, to) in cases {
        let argument = changed(argument, from, &to);
        let code = ward.refused_argument(&north, call, argument.clone()).await;
        assert_eq!(code, Code::ArgumentInvalid, "{call} {argument}");
    }
    for padded in [format!("{signature}="), signature.replace(['-', '_'], "+"), format!("{signature}A")] {
        if padded == *signature {
            continue;
        }
        let proof = Proof::Es256 { signature: padded };
        let call = GrantConsent { signed: SignedStatement { proof, ..signed.clone() } };
        assert_eq!(ward.world.refused(&ward.carrier, &call).await, Code::StatementSignature);
    }
    let list = format!("\n [\"{}\"]", ward.patient.id);
    assert_eq!(ward.refused_argument(&north, "GetPatient", list).await, Code::ArgumentInvalid);
    let bytes = [&b"{\"patient\":\""[..], &random::<2>().map(|byte| byte | 0x80), b"\"}"].concat();
    let proposal = Proposal::new(north.creator.serialized(), "GetPatient").arg(bytes);
    assert_eq!(refusal(&ward.world.peer.invoke(&proposal).await.unwrap()), Code::ArgumentInvalid);
}

#[tokio::test]
async fn a_policys_text_is_read_as_strictly() {
    let world = World::empty().await;
    let text = serde_json::to_string(&policy()).unwrap();
    for (from, to) in [
        ("\"epoch\":2", "\"epoch\":2,\"epoch\":2"),
        ("\"epoch\":2", "\"epoch\":2.0"),
        ("\"epoch\":2", "\"epoch\":4294967298"),
        ("\"sequence\":1", "\"sequence\":1,\"x\":1"),
        ("\"daemon\":{", "\"daemon\":{\"url\":\"https://localhost:1\","),
        ("\"daemon\":{", "\"daemon\":{\"x\":1,"),
        ("\"role\":\"clinician\"", "\"role\":\"service\",\"role\":\"clinician\""),
        ("\"permit_ms\":300000", "\"permit_ms\":300000.0"),
        ("\"permit_ms\":300000", "\"permit_ms\":1000,\"permit_ms\":300000"),
        ("\"permit_ms\":300000", "\"permit_ms\":9007199254740992"),
        ("https://localhost:7443", "https://somebody@localhost:7443"),
        ("https://localhost:7443", "https://localhost:+7443"),
    ] {
        let call = ProposePolicy { policy: changed(&text, from, to) };
        assert_eq!(world.refused(&admin("NorthMSP"), &call).await, Code::PolicyInvalid, "{to}");
    }
}
