//! What an operator is told when something cannot be, and that no file is written over.

use std::fs;

use crate::trial::Trial;

pub(crate) async fn what_cannot_be_is_refused_and_nothing_is_written_over(trial: &mut Trial) {
    let operator = &trial.operator;
    let kept = operator.folder().join("kept");
    fs::write(&kept, "mine").unwrap();
    let network = "caretrail network";
    // The line, how it ends, and what it says.
    for (line, exit, expected) in [
        ("backup create --all --to kept", 3, "`kept` is there already"),
        ("backup create --to new", 3, "--org <NAME>"),
        (
            "backup create --org west --to new",
            3,
            "there is no organisation `west`; there are north, south, and `orderer`",
        ),
        ("backup verify kept", 1, "`kept`"),
        ("backup verify nowhere", 1, "nowhere"),
        ("restore backups/monday", 3, "is not empty"),
        ("restore kept --folder elsewhere", 1, "`kept`"),
        ("snapshot create --peer peer7.north.example.com", 3, "peer7.north.example.com"),
        ("apply --spec third.toml --snapshot nowhere", 3, "no peer comes"),
        ("chaincode package --label caretrail_4 --to kept", 3, "`kept` exists"),
        ("chaincode package --label ../x --to new", 3, "is no label"),
        (
            "chaincode install --org west --spec third.toml",
            3,
            "there is no organisation `west`; there are north, south",
        ),
        ("chaincode install --org north --spec nowhere.toml", 1, "spec `nowhere.toml` cannot be read"),
        ("chaincode approve --org north --spec consortium.toml", 1, "sequence"),
        ("upgrade --to 2.5.9", 3, "2.5.9"),
        ("upgrade --to 9.9.9", 1, "nothing was changed: Fabric 9.9.9 was not found"),
        ("export systemd --to kept", 3, "`kept`"),
        ("export systemd --to new --organization west", 3, "west"),
        ("export docker --to new", 3, "systemd, kubernetes, compose"),
        ("certificates renew peer7.north.example.com", 3, "peer7.north.example.com"),
        ("certificates request nobody@north.example.com", 3, "nobody@north.example.com"),
        ("certificates import peer0.north.example.com --tls kept", 3, "nothing was changed"),
        (
            "certificates import peer0.north.example.com --tls root.pem",
            3,
            "the certificate is for another key",
        ),
        ("certificates revoke admin --org north", 3, "it signs"),
        ("certificates revoke auditor --org west", 3, "west"),
        ("certificates renew-authority west", 3, "west"),
        ("ca identities --org north", 3, "no Fabric CA"),
        ("change propose kept --title X --max-message-count 10", 3, "`kept` exists"),
        ("change propose new --title X", 3, "nothing is to be changed"),
        ("change propose new --title X --acl qscc", 3, "has no `=`"),
        ("change show kept", 3, "`kept`"),
        ("change sign rules.json --as west", 3, "`west` is neither `orderer` nor one of"),
        ("change submit blocks.json --as north", 3, "nothing was submitted"),
        ("plan --spec nowhere.toml", 1, "spec `nowhere.toml` cannot be read"),
        ("env west", 3, "`west` is not one of north, south"),
        ("up --spec consortium.toml", 1, "caretrail network apply --spec FILE"),
        ("destroy --yes-destroy other", 3, "this network's channel is `records`"),
        ("destroy", 3, "nobody is here to confirm"),
    ] {
        let line = format!("{network} {line}");
        let (code, data, said) = operator.line("", &format!("{line} --format json")).await;
        let all = format!("{data}{said}");
        assert!(code == exit && all.contains(expected), "`{line}` ended with {code}: {data}\n{said}");
        assert!(!said.contains("panicked"), "`{line}`: {said}");
        if exit != 0 {
            let error = said.lines().last().unwrap_or_default();
            let error: serde_json::Value =
                serde_json::from_str(error).unwrap_or_else(|_| panic!("`{line}`: {said}"));
            assert!(error["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "`{line}`: {error}");
            assert_eq!(data, "", "`{line}` printed data");
        }
    }
    assert_eq!(fs::read_to_string(&kept).unwrap(), "mine");
    for new in ["new", "elsewhere"] {
        assert!(!operator.folder().join(new).exists(), "`{new}` was made");
    }
}
