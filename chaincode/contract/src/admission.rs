//! The admission gate: an endorser refuses a proposal whose timestamp is far off its own clock.
//!
//! Refusing is not writing, so what is endorsed stays deterministic although clocks differ.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use caretrail_model::code::Code;
use caretrail_model::time::{DurationMs, UnixMs};
use hlf_chaincode::{Failure, Transaction};

use crate::failure::{refuse, require};

/// An endorser's own clock.
pub type Clock = Arc<dyn Fn() -> Option<UnixMs> + Send + Sync>;

/// How far a proposal's timestamp may be from the endorser's clock.
#[derive(Clone)]
pub struct Admission {
    window: DurationMs,
    clock: Clock,
}

impl Admission {
    /// Admits what is at most `window` off the system's clock, in either direction.
    pub fn system(window: DurationMs) -> Self {
        Self::with_clock(window, Arc::new(system_clock))
    }

    /// Admits what is at most `window` off `clock`, in either direction.
    pub fn with_clock(window: DurationMs, clock: Clock) -> Self {
        Self { window, clock }
    }

    pub(crate) fn admit(&self, tx: &Transaction) -> Result<(), Failure> {
        let refused = || refuse(Code::TimestampOutsideWindow);
        let now = (self.clock)().ok_or_else(refused)?;
        let timestamp =
            u64::try_from(tx.timestamp_unix_ms()).ok().and_then(UnixMs::new).ok_or_else(refused)?;
        require(timestamp.distance(now) <= self.window, Code::TimestampOutsideWindow)
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("window", &self.window).finish_non_exhaustive()
    }
}

fn system_clock() -> Option<UnixMs> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok().and_then(UnixMs::new)
}
