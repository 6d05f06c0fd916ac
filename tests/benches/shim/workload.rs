//! What is called, and how often at once.

use std::fmt;

use crate::sides::{GO, GO_BATCHED, OURS, OURS_ON_MANY, Side};

/// Values are of 128 bytes.
const VALUE: [u8; 128] = [b'v'; 128];

/// The peer that a load goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Through {
    /// A real peer's endorser.
    Fabric,
    /// The peer in memory, which costs so little that what is left is the chaincode.
    Memory,
}

/// A call, made by so many callers at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Workload {
    pub(crate) through: Through,
    pub(crate) call: Call,
    pub(crate) callers: usize,
    pub(crate) sides: &'static [Side],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    NoOp,
    Put,
    GetMany(usize),
    PutMany(usize),
}

impl Call {
    /// The function and its arguments, different keys for each number.
    pub(crate) fn words(self, number: u64) -> (&'static str, Vec<Vec<u8>>) {
        let prefix = format!("k{number:010}.").into_bytes();
        let count = |count: usize| count.to_string().into_bytes();
        match self {
            Self::NoOp => ("NoOp", Vec::new()),
            Self::Put => ("Put", vec![prefix, VALUE.to_vec()]),
            Self::GetMany(keys) => ("GetMany", vec![prefix, count(keys)]),
            Self::PutMany(keys) => ("PutMany", vec![prefix, count(keys), VALUE.to_vec()]),
        }
    }
}

const UNBATCHED: &[Side] = &[OURS, GO, OURS_ON_MANY];
const BATCHED: &[Side] = &[OURS, GO_BATCHED, GO, OURS_ON_MANY];

pub(crate) const WORKLOADS: [Workload; 11] = {
    use Through::{Fabric, Memory};
    const fn of(call: Call, callers: usize, through: Through) -> Workload {
        let sides = if matches!(call, Call::PutMany(_)) { BATCHED } else { UNBATCHED };
        Workload { call, callers, through, sides }
    }
    [
        of(Call::NoOp, 1, Fabric),
        of(Call::NoOp, 16, Fabric),
        of(Call::NoOp, 64, Fabric),
        of(Call::Put, 1, Fabric),
        of(Call::Put, 16, Fabric),
        of(Call::Put, 64, Fabric),
        of(Call::GetMany(100), 16, Fabric),
        of(Call::PutMany(1000), 1, Fabric),
        of(Call::PutMany(1000), 16, Fabric),
        of(Call::Put, 64, Memory),
        of(Call::PutMany(1000), 1, Memory),
    ]
};

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} at once", self.call, self.callers)?;
        match self.through {
            Through::Fabric => Ok(()),
            Through::Memory => write!(f, ", in memory"),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOp => write!(f, "no-op"),
            Self::Put => write!(f, "1 put"),
            Self::GetMany(keys) => write!(f, "{keys} gets"),
            Self::PutMany(keys) => write!(f, "{keys} puts"),
        }
    }
}
