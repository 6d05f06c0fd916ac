//! Several operators, each with their own part.

use caretrail_tests::processes;
use caretrail_tests::stage::Stage;
use caretrail_tests::telling::World;
use serde_json::Value;

use crate::page::{Block, Operator, blocks};

pub(crate) struct Operators {
    operator: Operator,
}

impl World for Operators {
    async fn stand_up(stage: &Stage) -> Self {
        Self { operator: Operator::on(stage).await }
    }
}

pub(crate) async fn the_pages_commands_stand_up_a_consortium(operators: &mut Operators) {
    let operator = &mut operators.operator;
    let of_operators: Vec<Block> =
        blocks().into_iter().filter(|block| block.network == "operators").collect();
    let lines = of_operators.iter().flat_map(|block| block.script.lines());
    assert!(lines.filter(|line| line.contains("caretrail network")).count() >= 20, "{of_operators:?}");
    for block in &of_operators {
        operator.block(block).await;
    }

    let mut nodes = 0;
    for name in ["orderer", "north", "south", "east"] {
        let folder = format!("consortium/{name}");
        let (exit, data, said) = operator.line(&folder, "caretrail network status --format json").await;
        assert_eq!(exit, 0, "{name}: {data}{said}");
        let status: Value = serde_json::from_str(&data).unwrap();
        assert_eq!(status["part"], name);
        nodes += status["nodes"].as_array().unwrap().len();
    }
    assert_eq!(nodes, 3 + 3 * 2);
    assert_eq!(processes::marked(operator.folder()).len(), nodes);
}

pub(crate) async fn what_cannot_be_is_told_by_exit_codes(operators: &mut Operators) {
    let operator = &operators.operator;
    let wrong = "1f0c-8d7a-1f0c-8d7a-1f0c-8d7a-1f0c-8d7a-1f0c-8d7a";
    let other = "caretrail network init --orgs west --folder elsewhere";
    assert_eq!(operator.line("", other).await.0, 0);
    for (folder, line, exit, expected) in [
        ("", other, 3, "exists; nothing is written over a document"),
        ("", "caretrail network init --orgs orderer --folder no", 3, "there is no such consortium"),
        ("", "caretrail network describe", 3, "there is no `organization.toml` here"),
        ("", "caretrail network describe --part nowhere.toml", 1, "cannot be read"),
        (
            "consortium/north",
            &format!("caretrail network import ../../exchange/south.organization.json --digest {wrong}"),
            3,
            "was read to you: it is not the file that they meant",
        ),
        (
            "consortium/north",
            "caretrail network import organization.toml",
            3,
            "this is no channel's first block",
        ),
        ("consortium/north", "caretrail network describe --out organization.toml", 3, "is something else"),
        ("consortium/north", "caretrail network genesis --out organization.toml", 3, "is something else"),
        ("consortium/north", "caretrail network apply --out organization.toml", 3, "is no proposal"),
        ("consortium/north", "caretrail network up --spec ../consortium.toml", 3, "--spec is of all"),
        ("consortium/north", "caretrail network plan --spec ../consortium.toml", 3, "--spec is of all"),
        ("consortium/north", "caretrail network plan", 0, "the channel is as consortium.toml says"),
        ("consortium/north", "caretrail network apply", 0, "the channel is as consortium.toml says"),
        ("elsewhere/west", "caretrail network genesis", 75, "missing: orderer"),
        ("elsewhere/west", "caretrail network up", 75, "waiting for orderer: orderer's description"),
        (
            "elsewhere/west",
            "caretrail network import ../../exchange/north.organization.json",
            3,
            "`north` is no organisation of the consortium; there are orderer, west",
        ),
    ] {
        let (code, data, said) = operator.line(folder, line).await;
        assert!(code == exit && said.contains(expected), "`{line}` ended with {code}: {data}{said}");
    }
    // Down and destroyed, each by its own operator.
    for name in ["east", "south", "north", "orderer"] {
        let folder = format!("consortium/{name}");
        assert_eq!(operator.line(&folder, "caretrail network down").await.0, 0);
        let (exit, _, said) = operator.line(&folder, "caretrail network destroy --channel records").await;
        assert_eq!(exit, 0, "{said}");
    }
    assert_eq!(processes::marked(operator.folder()), [0_u32; 0]);
}
