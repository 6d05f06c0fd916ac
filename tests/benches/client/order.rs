//! What a load generator is asked and answers, one JSON object a line: the same for both sides.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Calls that are to be made: by callers who each make one after the other for a while, or each when it is due.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The chaincode's function: `Create` and `Count` are submitted, `Get` is evaluated.
    pub(crate) call: String,
    pub(crate) callers: usize,
    pub(crate) lasts_us: u64,
    /// When each call is due, in microseconds; without callers.
    pub(crate) due_us: Vec<u64>,
    /// The first call's number; no two calls of a run have the same.
    pub(crate) first: u64,
    /// What each call picks, again and again: a counter, or a key that is there.
    pub(crate) picks: Vec<u64>,
}

/// What came of an order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Came {
    pub(crate) elapsed_us: u64,
    /// Of the successful calls.
    pub(crate) latencies_us: Vec<u64>,
    /// Of the same calls, when they put a key: until it is endorsed, then until it is submitted, then until its verdict.
    pub(crate) stages_us: Vec<[u64; 3]>,
    /// The other calls, and what their callers were told.
    pub(crate) others: BTreeMap<u64, String>,
    /// How many transactions were proposed.
    pub(crate) proposed: u64,
}

impl Order {
    pub(crate) fn pick(&self, number: u64) -> u64 {
        let place = (number - self.first) % self.picks.len() as u64;
        self.picks[usize::try_from(place).expect("a place")]
    }
}

impl Came {
    /// How many calls were made.
    pub(crate) fn calls(&self) -> u64 {
        (self.latencies_us.len() + self.others.len()) as u64
    }

    /// The other calls, counted by what their callers were told.
    pub(crate) fn counted(&self) -> BTreeMap<String, u64> {
        let mut counted = BTreeMap::new();
        for words in self.others.values() {
            *counted.entry(words.clone()).or_default() += 1;
        }
        counted
    }
}

/// The key of a call, by which its transactions are known again.
pub(crate) fn key(number: u64) -> String {
    format!("k{number:012}")
}

/// A counter.
pub(crate) fn counter(number: u64) -> String {
    format!("c{number:012}")
}

/// The number of the call that made a transaction, from its function and arguments.
pub(crate) fn number(args: &[Vec<u8>]) -> Option<u64> {
    let key = match args {
        [function, key, _] if function == b"Create" => key,
        [function, _, who] if function == b"Count" => who,
        _ => return None,
    };
    std::str::from_utf8(key).ok()?.strip_prefix('k')?.parse().ok()
}
