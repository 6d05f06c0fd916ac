//! Which node is struck when, and how.

use caretrail_tests::fault::Fault;

/// One fault to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) fault: Fault,
    pub(crate) node: String,
}

/// Faults in turn: orderers and peers alternate while there are both, neighbours are struck differently, and every
/// node has been struck in every way before one is struck so again.
pub(crate) fn strikes(orderers: &[String], peers: &[String], count: usize) -> Vec<Strike> {
    let longest = orderers.len().max(peers.len());
    let nodes: Vec<_> =
        (0..longest).flat_map(|index| [orderers.get(index), peers.get(index)]).flatten().collect();
    let pass = |pass: usize| {
        let of = move |(index, node): (usize, &&String)| Strike {
            fault: Fault::ALL[(index + pass) % Fault::ALL.len()],
            node: (*node).clone(),
        };
        nodes.iter().enumerate().map(of).collect::<Vec<_>>()
    };
    (0..).flat_map(pass).take(count).collect()
}
