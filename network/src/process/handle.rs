//! Ending a process without ever hitting another of the same id.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::ProcessError;

/// A process that is to end.
pub(super) struct Handle {
    pid: u32,
    descriptor: OwnedFd,
}

impl Handle {
    /// A handle of a process, `None` when there is none of this id.
    pub(super) fn open(pid: u32) -> Result<Option<Self>, ProcessError> {
        let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        match pidfd_open(id, PidfdFlags::empty()) {
            Ok(descriptor) => Ok(Some(Self { pid, descriptor })),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(ProcessError::Signal { pid, source: error.into() }),
        }
    }

    /// The process's id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn send(&self, signal: Signal) -> Result<(), ProcessError> {
        match pidfd_send_signal(&self.descriptor, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(ProcessError::Signal { pid: self.pid, source: error.into() }),
        }
    }

    /// Whether every thread of it has ended; `/proc` shows a process as gone while its files are still open.
    pub(super) fn has_ended(&self) -> bool {
        let mut watched = [PollFd::new(&self.descriptor, PollFlags::IN)];
        matches!(poll(&mut watched, Some(&Timespec::default())), Ok(1..))
    }
}
