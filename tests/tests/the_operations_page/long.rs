//! What takes minutes: authorities that end, and another release of Fabric.

use caretrail_tests::stage::Stage;
use caretrail_tests::telling::World;

use crate::page::Operator;

pub(crate) struct Authorities {
    operator: Operator,
}

impl World for Authorities {
    async fn stand_up(stage: &Stage) -> Self {
        let operator = Operator::of_all(stage).await;
        up(&operator, "caretrail network spec --orgs north,south --orderers raft:3 --peers 2").await;
        Self { operator }
    }
}

pub(crate) async fn long_authorities_are_renewed(authorities: &mut Authorities) {
    let operator = &mut authorities.operator;
    let before = operator.data("caretrail network certificates").await;
    operator.section("authorities", "Certificates").await;
    let after = operator.data("caretrail network certificates").await;
    let count = |all: &serde_json::Value| all["certificates"].as_array().map(Vec::len);
    assert_eq!(count(&before), count(&after), "as many as before: {after}");
    assert_eq!(operator.data("caretrail network status").await["ready"], true);
    assert_eq!(operator.data("caretrail network doctor").await["healthy"], true);
}

pub(crate) struct Release {
    operator: Operator,
}

impl World for Release {
    async fn stand_up(stage: &Stage) -> Self {
        let operator = Operator::of_all(stage).await;
        let older = "caretrail network spec --orgs north,south --orderers raft:3 --peers 2 \
                     | sed 's/^fabric = .*/fabric = \"2.5.9\"/'";
        up(&operator, older).await;
        Self { operator }
    }
}

pub(crate) async fn long_another_release_is_run(release: &mut Release) {
    let operator = &mut release.operator;
    operator.section("release", "Another release of Fabric").await;
    let status = operator.data("caretrail network status").await;
    assert_eq!((&status["fabric"], &status["ready"]), (&"3.1.1".into(), &true.into()), "{status}");
    let (exit, _, said) = operator.line("", "caretrail network upgrade --to 2.5.9").await;
    assert_eq!(exit, 3, "{said}");
    // Raised by it, so the same by a proposal is no change.
    let line = "caretrail network change propose no.json --title Raise --capability Channel=V3_0";
    let (exit, _, said) = operator.line("", line).await;
    assert!(exit == 3 && said.contains("like that already"), "{said}");
}

async fn up(operator: &Operator, spec: &str) {
    let script = format!("{spec} > consortium.toml\ncaretrail network up --spec consortium.toml");
    let (exit, data, said) = operator.line("", &script).await;
    assert_eq!(exit, 0, "{data}{said}");
}
