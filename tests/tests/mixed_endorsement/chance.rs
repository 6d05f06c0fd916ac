//! Transactions that nobody thought of: operations drawn on few keys, so that they meet each other.

use serde_json::{Value, json};

use crate::script::Step;
use crate::scripts::{IMPLICIT, OF_NORTH, PAIR};
use crate::world::Mixed;

/// Transactions that are drawn on each network.
const TRANSACTIONS: usize = 40;
const OPERATIONS_MAX: usize = 12;
const SEED: u64 = 0x000C_A5E5_0F1D_EA5E;

/// Draws that are others on each network, and the same in every run, so that a failure comes again.
struct Draw(u64);

impl Draw {
    /// A number below `end` (xorshift64*).
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(drawn).unwrap() % end
    }

    fn of<'t>(&mut self, choices: &[&'t str]) -> &'t str {
        choices[self.below(choices.len())]
    }

    fn key(&mut self) -> &'static str {
        self.of(&["d/a", "d/b", "d/c", "\0drawn\0a\0", "\0drawn\0b\0"])
    }

    fn operation(&mut self) -> Value {
        let collection = self.of(&["", "", "", PAIR, PAIR, OF_NORTH, IMPLICIT]);
        let writes = ["put", "put", "put", "delete", "set_policy", "clear_policy"];
        let reads =
            ["policy", "get", "get_many", "range", "first", "partial", "history", "event", "transient"];
        let op = match (self.below(2), collection) {
            (0, _) => self.of(&writes),
            (_, "") => self.of(&reads),
            // Only its members' peers hold the values, and peers refuse private scans beside writes.
            (_, PAIR) => self.of(&["policy", "hash", "get", "get_many", "purge"]),
            (_, _) => self.of(&["policy", "hash", "purge"]),
        };
        let (value, keys) = match op {
            "put" => (self.of(&["1", "2", "ü\0", "a longer value"]), vec![]),
            "set_policy" => (self.of(&["", "member"]), vec!["NorthMSP", "SouthMSP"]),
            "get_many" => ("", vec![self.key(), self.key(), self.key()]),
            "range" | "first" => ("e", vec![]),
            _ => ("drawn", vec![]),
        };
        let (key, keys) = match op {
            "range" | "first" => ("d/", keys),
            "partial" => ("drawn", keys),
            _ => (self.key(), keys),
        };
        json!({ "op": op, "collection": collection, "key": key, "value": value, "keys": keys, "size": 1 })
    }
}

pub(crate) async fn whatever_is_drawn_is_endorsed_alike<const EDITION: usize>(world: &mut Mixed<EDITION>) {
    let mut draw = Draw(SEED + u64::try_from(EDITION).unwrap());
    for _ in 0..TRANSACTIONS {
        let operations: Vec<_> = (0..=draw.below(OPERATIONS_MAX)).map(|_| draw.operation()).collect();
        world.go(&Step::submit(json!(operations)).transient("drawn", b"7")).await;
    }
}
