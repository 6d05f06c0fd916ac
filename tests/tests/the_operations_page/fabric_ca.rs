//! An organisation whose certificates come from a Fabric CA of its own.

use std::fs;

use caretrail_tests::stage::Stage;
use caretrail_tests::telling::World;

use crate::page::Operator;

pub(crate) struct OwnAuthority {
    operator: Operator,
}

impl World for OwnAuthority {
    async fn stand_up(stage: &Stage) -> Self {
        let operator = Operator::of_all(stage).await;
        let script = "caretrail network spec --orgs north --orderers raft:1 \
                      | sed 's/^domain = \"north.*/&\\nca = \"fabric-ca\"/' > consortium.toml
                      caretrail network up --spec consortium.toml";
        let (exit, data, said) = operator.line("", script).await;
        assert_eq!(exit, 0, "{data}{said}");
        Self { operator }
    }
}

pub(crate) async fn a_fabric_ca_is_asked(own: &mut OwnAuthority) {
    let operator = &mut own.operator;
    let said = operator.section("fabric-ca", "Certificates").await;
    assert!(said.contains("ada"), "{said}");
    // The secret is in its file alone.
    let secret = fs::read_to_string(operator.folder().join("ada.secret")).unwrap();
    assert!(!secret.trim().is_empty() && !said.contains(secret.trim()), "{said}");
    let (exit, data, said) = operator.line("", "ls ada/msp/keystore | wc -l").await;
    assert!(exit == 0 && data.trim() == "1", "{data}{said}");
    // Another `up` asks nothing of the CA again.
    let (exit, _, said) = operator.line("", "caretrail network up").await;
    assert!(exit == 0 && said.contains("none is issued twice"), "{said}");
}
