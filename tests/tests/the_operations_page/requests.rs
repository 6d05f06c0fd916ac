//! A first stand-up without any authority here: certificates of requests, and keys that are given as files.

use std::fs;

use caretrail_tests::processes;
use caretrail_tests::stage::Stage;
use caretrail_tests::telling::World;

use crate::page::{Block, Operator, blocks};

pub(crate) struct OutsideAuthority {
    operator: Operator,
}

impl World for OutsideAuthority {
    async fn stand_up(stage: &Stage) -> Self {
        let operator = Operator::on(stage).await;
        for organization in ["orderer", "north"] {
            operator.authority(&format!("{organization}-")).await;
        }
        Self { operator }
    }
}

/// Where a part's keys and certificates lie.
const NORTH: &str = ".caretrail/network/organizations/peerOrganizations/north.example.com";
const ORDERER: &str = ".caretrail/network/organizations/ordererOrganizations/orderer.example.com";

pub(crate) async fn a_network_stands_up_by_certificates_of_another_authority(outside: &mut OutsideAuthority) {
    let operator = &mut outside.operator;
    let of_requests: Vec<Block> = blocks().into_iter().filter(|block| block.network == "requests").collect();
    let [first, signed, up] = of_requests.as_slice() else { panic!("{of_requests:?}") };
    let said = operator.block(first).await;
    let missing = "missing: ca.pem, tlsca.pem, peer0.north.example.com.identity.pem, peer0.north.example.com.tls-server.pem";
    assert!(said.contains(missing), "{said}");
    // Run again, the same keys are asked for; no key is in the folder of requests.
    let sums = "cat own/*/requests/*.csr | sha256sum";
    let before = operator.line("", sums).await.1;
    let (exit, _, said) = operator.line("own/north", "caretrail network up").await;
    assert!(exit == 75 && said.contains("certificates are awaited from your authority"), "{exit}: {said}");
    assert_eq!(operator.line("", sums).await.1, before);
    assert_eq!(operator.line("", "grep -rl PRIVATE own/*/requests").await.1, "");
    operator.block(signed).await;
    what_does_not_fit_is_named(operator).await;
    operator.block(up).await;

    // Every certificate is of the authority elsewhere, and no key of an authority is here.
    let issuers = "for file in $(find own -path '*network*' -name '*-cert.pem' -path '*signcerts*'); do \
                   openssl x509 -in $file -noout -issuer; done | sort -u";
    let (_, issuers, _) = operator.line("", issuers).await;
    let mut lines = issuers.lines();
    assert!(
        lines.next().is_some_and(|line| line.contains("north-lower"))
            && lines.next().is_some_and(|line| line.contains("orderer-lower"))
            && lines.next().is_none(),
        "{issuers}"
    );
    let (exit, data, said) = operator.line("own/north", "caretrail network doctor").await;
    assert_eq!(exit, 0, "{data}{said}");
    // The role came through: an admin of the hospital writes to the contract's ledger.
    let draft = "caretrail network status --format json";
    let (exit, data, said) = operator.line("own/north", draft).await;
    assert!(exit == 0 && data.contains("\"ready\":true"), "{data}{said}");
}

async fn what_does_not_fit_is_named(operator: &Operator) {
    let own = "own/north/requests";
    let peer = format!("{own}/peer0.north.example.com");
    let sign = |request: &str, by: &str, more: &str, out: &str| {
        format!("openssl x509 -req -in {request} -CA {by}.pem -CAkey {by}.key -days 9 {more} -out {out}")
    };
    let copied = "-copy_extensions copyall";
    let bare = "-extfile leaf.ext";
    fs::write(operator.folder().join("leaf.ext"), "keyUsage=critical,digitalSignature\n").unwrap();
    let user = format!("{own}/service@north.example.com.identity");
    for (file, spoil, expected) in [
        (
            format!("{peer}.identity.pem"),
            format!("cp {own}/admin@north.example.com.identity.pem {peer}.identity.pem"),
            "the certificate is for another key",
        ),
        (
            format!("{peer}.tls-server.pem"),
            sign(&format!("{peer}.tls-server.csr"), "north-lower", "", &format!("{peer}.tls-server.pem")),
            "X.509 version before 3",
        ),
        (
            format!("{peer}.tls-server.pem"),
            sign(&format!("{peer}.tls-server.csr"), "north-lower", bare, &format!("{peer}.tls-server.pem")),
            "peer0.north.example.com",
        ),
        (
            format!("{peer}.identity.pem"),
            sign(&format!("{peer}.identity.csr"), "orderer-lower", copied, &format!("{peer}.identity.pem")),
            "neither `ca.pem` nor, once there is one, the channel holds such an authority",
        ),
        (
            format!("{user}.pem"),
            sign(&format!("{user}.csr"), "north-lower", bare, &format!("{user}.pem")),
            "it has not the attributes that were requested",
        ),
        (
            format!("{own}/ca.pem"),
            format!("cp {own}/admin@north.example.com.identity.pem {own}/ca.pem"),
            "is no authority's",
        ),
    ] {
        let (exit, _, said) = operator.line("", &format!("cp {file} spoilt && {spoil}")).await;
        assert_eq!(exit, 0, "{said}");
        let (exit, _, said) = operator.line("own/north", "caretrail network describe").await;
        assert!(
            exit == 3 && said.contains("does not fit: ") && said.contains(expected),
            "{expected}: {said}"
        );
        let (exit, data, _) = operator.line("own/north", &format!("ls {NORTH} 2>&1 | head -1")).await;
        assert!(exit == 0 && data.contains("No such file"), "nothing was taken: {data}");
        operator.line("", &format!("mv spoilt {file}")).await;
    }
}

/// `source = "files"`: the same keys and certificates, as a tree that somebody brings.
pub(crate) async fn given_files_are_taken_as_they_are(outside: &mut OutsideAuthority) {
    let operator = &outside.operator;
    let script = format!(
        "(cd own/north && caretrail network down) && (cd own/orderer && caretrail network down)
         caretrail network init --orgs north --orderers raft:1 --folder given
         cp -r own/orderer/{ORDERER} given/orderer/pki && cp -r own/north/{NORTH} given/north/pki
         for organization in orderer north; do
           sed -i 's/^source = \"development\"/source = \"files\"\\nfolder = \"pki\"/' given/$organization/organization.toml
           (cd given/$organization && caretrail network describe --out ../$organization.json)
         done
         (cd given/orderer && caretrail network import ../north.json && caretrail network genesis --out ../records.block)
         (cd given/north && caretrail network import ../orderer.json && caretrail network import ../records.block)
         (cd given/orderer && caretrail network up)
         (cd given/north && caretrail network up && caretrail network ready --wait 1m)"
    );
    let (exit, data, said) = operator.line("", &script).await;
    assert_eq!(exit, 0, "{data}{said}");
    assert_eq!(processes::marked(&operator.folder().join("given")).len(), 3, "orderer, peer, service");
    // What is missing is named before anything is taken.
    let script = "caretrail network init --orgs east --orderers raft:1 --folder bare
                  sed -i 's/^source = \"development\"/source = \"files\"\\nfolder = \"pki\"/' bare/east/organization.toml
                  mkdir bare/east/pki; cd bare/east; caretrail network describe";
    let (exit, _, said) = operator.line("", script).await;
    assert!(exit == 3 && said.contains("has not: msp/config.yaml, msp/cacerts"), "{exit}: {said}");
    for folder in ["given/north", "given/orderer"] {
        assert_eq!(operator.line(folder, "caretrail network down").await.0, 0);
    }
}
