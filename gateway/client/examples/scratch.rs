//! scratch
use std::time::{Duration, Instant};
use hlf_gateway::*;
use hlf_gateway::protos::prost::Message as _;
use hlf_gateway::protos::lifecycle::*;
use futures_util::{stream, StreamExt};
fn chain(error: &dyn std::error::Error) -> String {
    let mut t = error.to_string(); let mut s = error.source();
    while let Some(c) = s { t = format!("{t} <- {c}"); s = c.source(); }
    t
}
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let base = "/tmp/net/crypto/peerOrganizations/north.example.com";
    let admin = MspFolder::open(format!("{base}/users/Admin@north.example.com/msp"), "NorthMSP")?;
    let roots = admin.tls_ca_certificates_pem().concat();
    let peer = Endpoint::tls("127.0.0.1:27051", roots.clone());
    let gateway = Gateway::connect(&peer, admin.into_credentials(), Deadlines { commit_status: Duration::from_secs(5), ..Default::default() }).await?;
    let l = gateway.contract("main", "_lifecycle");
    let tag = std::process::id();
    let n: usize = std::env::args().nth(1).unwrap().parse()?;
    let t = Instant::now();
    let out: Vec<_> = stream::iter(0..n).map(|i| { let l = l.clone(); async move {
        let source = ChaincodeSource { r#type: Some(chaincode_source::Type::Unavailable(chaincode_source::Unavailable {})) };
        let a = ApproveChaincodeDefinitionForMyOrgArgs { sequence: 1, name: format!("c{tag}x{i}"), version: "1".into(), endorsement_plugin: "escc".into(), validation_plugin: "vscc".into(), source: Some(source), ..Default::default() };
        let p = l.proposal("ApproveChaincodeDefinitionForMyOrg").arg(a.encode_to_vec()).endorsing_organizations(["NorthMSP"]).build().unwrap();
        l.submit(p).await
    }}).buffer_unordered(200).collect().await;
    let ok = out.iter().filter(|r| r.is_ok()).count();
    println!("{ok}/{n} in {:?}", t.elapsed());
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    let mut unknown = vec![];
    for e in out.iter().filter_map(|r| r.as_ref().err()) {
        let tx = match e { TransactionError::Unknown { tx_id, .. } => { unknown.push(tx_id.clone()); tx_id.clone() } TransactionError::Endorse(e) => e.tx_id().to_owned(), _ => String::new() };
        *seen.entry(chain(e).replace(&tx, "TX")).or_default() += 1;
    }
    for (k, v) in seen { println!("{v} x {k}"); }
    if !unknown.is_empty() {
        tokio::time::sleep(Duration::from_secs(12)).await;
        for tx in unknown { match gateway.commit_status("main", &tx).await { Ok(s) => println!("{tx} {:?} {}", s.code, s.block_number), Err(e) => println!("{}", chain(&e)) } }
    }
    Ok(())
}
