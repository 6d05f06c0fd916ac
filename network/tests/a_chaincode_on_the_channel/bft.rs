//! BFT ordering on real Fabric 3 processes.

use std::process::Command;
use std::time::{Duration, Instant};

use hlf_network::GenesisError;
use hlf_network::fabric::Search;
use hlf_network::network::{Network, NodeStatus, UpError};
use hlf_network::spec::{Chaincode, Consortium, DEFAULT};

use crate::bench::{Bench, cache_dir, say, told};
use crate::shelf::{edition, has, put, ready, try_put, up};

/// What the pace of the consenters promises.
const REPLACED_WITHIN: Duration = Duration::from_secs(300);

fn spec() -> Consortium {
    let consenters = r#"["orderer0", "orderer1", "orderer2", "orderer3"]"#;
    let text = DEFAULT.replacen("\"raft\"", "\"bft\"", 1).replacen(r#"["orderer0"]"#, consenters, 1);
    let mut spec = Consortium::parse(&text).unwrap();
    spec.set_chaincode(Chaincode::new("shelf", "shelf_1")).unwrap();
    spec
}

async fn leaders(network: &Network) -> Vec<NodeStatus> {
    let status = network.status().await.unwrap();
    status.nodes.into_iter().filter(|node| node.leads == Some(true)).collect()
}

pub(crate) async fn older_programs_are_refused_bft_ordering() {
    let bench = Bench::new("bft-2.5");
    let network = Network::new(&bench.folder, spec()).unwrap();
    let older = Search {
        version: "2.5.9".parse().unwrap(),
        folder: None,
        fabric_bin: None,
        path: None,
        fabric_cfg_path: None,
        cache_dir: cache_dir(),
    };
    let mut options = edition(network.spec(), std::env::current_exe().unwrap(), "first");
    let programs = older.find(&say).await.unwrap_or_else(|error| panic!("{}", told(&error)));
    options.binaries.folder = Some(programs.folder().to_owned());
    let error = network.up(&options, &say).await.unwrap_err();
    assert!(matches!(error, UpError::Genesis(GenesisError::NoBft { .. })), "{}", told(&error));
    assert!(!bench.folder.join("ports.json").exists(), "nothing is chosen before it is refused");
}

pub(crate) async fn four_consenters_replace_a_dead_leader() {
    let bench = Bench::new("bft");
    let network = Network::new(&bench.folder, spec()).unwrap();
    let options = edition(network.spec(), std::env::current_exe().unwrap(), "first");
    up(&network, &options).await;
    put(&network, "north", "with four").await;
    let status = ready(&network).await;
    assert_eq!(status.nodes.len(), 4 + 2 + 2);
    let leader = leaders(&network).await;
    assert_eq!(leader.len(), 1, "{status:#?}");

    // The leader is killed: the other three agree on a new one, and transactions commit again.
    let lost = &leader[0];
    let killed = Command::new("kill").args(["-9", &lost.pid.unwrap().to_string()]).status().unwrap();
    assert!(killed.success());
    let begun = Instant::now();
    loop {
        match try_put(&network, "south", &[], "with three").await {
            Ok(_) => break,
            Err(error) if begun.elapsed() < REPLACED_WITHIN => eprintln!("{}", told(&error)),
            Err(error) => panic!("no transaction for {:?}: {}", begun.elapsed(), told(&error)),
        }
    }
    eprintln!("a leader was replaced within {:?}", begun.elapsed());
    has(&network, "north", "with three").await;
    assert!(!network.status().await.unwrap().ready);

    // `up` brings the lost one back, and with it another one may be lost.
    up(&network, &options).await;
    ready(&network).await;
    let leader = leaders(&network).await.into_iter().find(|node| node.name != lost.name).unwrap();
    caught_up(&network, &lost.name).await;
    assert!(network.supervisor().stop(&leader.name).await.unwrap());
    let begun = Instant::now();
    while try_put(&network, "north", &[], "with another three").await.is_err() {
        assert!(begun.elapsed() < REPLACED_WITHIN);
    }
    eprintln!("another leader was replaced within {:?}", begun.elapsed());
    has(&network, "south", "with another three").await;

    // All of them stop and start: the channel goes on where it was.
    assert_eq!(network.down(&say).await.unwrap(), 7);
    up(&network, &options).await;
    put(&network, "south", "after all").await;
    has(&network, "north", "after all").await;
    network.destroy(&say).await.unwrap();
}

/// Waits until a consenter has as many blocks as the others.
async fn caught_up(network: &Network, name: &str) {
    let begun = Instant::now();
    loop {
        let status = network.status().await.unwrap();
        let highest = status.nodes.iter().filter_map(|node| node.height).max();
        let its = status.nodes.iter().find(|node| node.name == name).and_then(|node| node.height);
        if its == highest {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{status:#?}");
    }
}
