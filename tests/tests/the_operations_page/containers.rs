//! A network whose nodes have addresses of their own, as containers need.

use std::net::TcpListener;

use caretrail_tests::stage::Stage;
use caretrail_tests::telling::World;

use crate::page::Operator;

pub(crate) struct Reachable {
    operator: Operator,
}

impl World for Reachable {
    async fn stand_up(stage: &Stage) -> Self {
        let operator = Operator::of_all(stage).await;
        let held = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [orderer, peer] = held.map(|listener| listener.local_addr().unwrap());
        let script = format!(
            "caretrail network spec --orgs north --orderers raft:1 \\
             | sed -e 's/^consenters = .*/&\\nendpoints = {{ orderer0 = \"{orderer}\" }}/' \\
                   -e 's/^peers = .*/&\\nendpoints = {{ peer0 = \"{peer}\" }}/' > consortium.toml
             caretrail network up --spec consortium.toml"
        );
        let (exit, data, said) = operator.line("", &script).await;
        assert_eq!(exit, 0, "{data}{said}");
        Self { operator }
    }
}

pub(crate) async fn manifests_and_a_project_are_written(reachable: &mut Reachable) {
    let operator = &mut reachable.operator;
    operator.section("containers", "On real machines").await;
    for (line, expected) in [
        ("cat manifests/README.md", "kubectl"),
        ("cat project/README.md", "docker compose"),
        ("grep -rh 'image:' manifests", "registry.example.com/caretrail:1"),
        ("ls project", "compose"),
    ] {
        let (exit, data, said) = operator.line("", line).await;
        assert!(exit == 0 && data.contains(expected), "`{line}`: {data}{said}");
    }
    // Keys are for their owner alone, and left out when that is asked.
    let keys = "grep -rlE 'PRIVATE KEY' project | xargs -r stat -c %a | sort -u";
    let (_, modes, _) = operator.line("", keys).await;
    assert_eq!(modes.trim(), "600");
    let without =
        "caretrail network export compose --to bare --without-keys && ! grep -rqE 'PRIVATE KEY' bare";
    let (exit, data, said) = operator.line("", without).await;
    assert_eq!(exit, 0, "{data}{said}");
}
