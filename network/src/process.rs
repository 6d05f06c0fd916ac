//! Processes of a network: started, known again, stopped, and never mistaken for somebody else's.
//!
//! Every process carries the state folder in its environment ([`MARKER`]). Whatever happened to the program that
//! started it, its folder finds it again, and only it.

mod diagnose;
mod fingerprint;
mod freeze;
mod handle;
mod proc_fs;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::files::{self, FileError};
use crate::layout::Layout;
use crate::ports::{self, PortError};
use handle::Handle;

pub(crate) use diagnose::{last_words, log_end};
pub(crate) use proc_fs::{all, command_line, variable_of};

/// The environment variable by which a state folder's processes are found: its value is the folder.
pub const MARKER: &str = "HLF_NETWORK_STATE";

/// The environment variable with a process's name, by which it is known before its record is written.
const NAME: &str = "HLF_NETWORK_PROCESS";

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);
/// How long the kernel may take to end a killed process.
const KILL_GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);
/// How many logs of earlier runs are kept.
const OLD_LOGS: u32 = 3;

/// Variables that a process inherits; no other does, so that no stray setting changes a node.
const INHERITED: [&str; 5] = ["PATH", "HOME", "TMPDIR", "LANG", "TZ"];

/// A process that ought to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Name, unique in the network: of its log, its record, and in messages.
    pub name: String,
    /// The program, an absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its environment, beyond `PATH`, `HOME`, `TMPDIR`, `LANG` and `TZ`.
    pub env: BTreeMap<String, OsString>,
    /// The ports on 127.0.0.1 that it listens on.
    pub ports: Vec<u16>,
    /// Files it reads at its start: when one of them changes, it is restarted.
    pub reads: Vec<PathBuf>,
}

/// What [`Supervisor::ensure`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// It ran already, from the same program and settings.
    Running,
    /// It did not run.
    Started,
    /// It ran from another program or other settings, and was started anew.
    Restarted,
}

/// A process that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// Its process id.
    pub pid: u32,
}

/// Why a process could not be started, kept or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The program is not there or may not be run.
    #[error("`{name}` cannot be started: `{program}` does not run")]
    Start {
        /// The process.
        name: String,
        /// Its program.
        program: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// It ended by itself.
    #[error("`{name}` ended: {cause}; the end of its log `{log}`:\n{tail}")]
    Died {
        /// The process.
        name: String,
        /// What probably ended it, in words.
        cause: String,
        /// Its whole log.
        log: PathBuf,
        /// The end of its log.
        tail: String,
    },
    /// Processes did not end when killed.
    #[error("processes {0:?} do not end, even when killed; they wait for the kernel (a disk?)")]
    Unstoppable(Vec<u32>),
    /// A process could not be signalled.
    #[error("process {pid} cannot be stopped")]
    Signal {
        /// Its id.
        pid: u32,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// One of its ports is taken.
    #[error("`{name}` cannot be started")]
    Port {
        /// The process.
        name: String,
        /// Which port, and who has it.
        source: PortError,
    },
    /// Its log or record cannot be used.
    #[error("the records of processes cannot be used")]
    File(#[from] FileError),
}

/// What is known of a started process after its starter is gone.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    pid: u32,
    /// Kernel ticks since boot at its start: with the id and the boot, they name one process for ever.
    start_ticks: u64,
    /// The kernel's id of the boot.
    boot_id: String,
    /// SHA-256 over program, arguments, environment and the files it reads.
    fingerprint: String,
}

/// Starts and stops the processes of one state folder.
#[derive(Debug)]
pub struct Supervisor {
    layout: Layout,
    /// Children of this very process, kept to be reaped when they end.
    children: Mutex<BTreeMap<u32, Child>>,
}

impl Supervisor {
    /// The supervisor of a state folder.
    pub fn new(layout: Layout) -> Self {
        Self { layout, children: Mutex::default() }
    }

    /// Makes a service run, from the program and settings as they are now; one that was stopped (SIGSTOP) goes on.
    ///
    /// It returns once the process exists; whether it is ready is for the caller to ask.
    ///
    /// # Errors
    /// [`ProcessError`] when a port is taken, or the program does not run.
    pub async fn ensure(&self, service: &Service) -> Result<Ensured, ProcessError> {
        let fingerprint = fingerprint::of(service)?;
        let ran = match self.record_of_running(&service.name) {
            Some(record) if record.fingerprint == fingerprint => {
                self.wake(record.pid)?;
                return Ok(Ensured::Running);
            }
            record => record.is_some(),
        };
        // Of a start that was interrupted, a process may be left that no record knows.
        self.end(&self.named(&service.name)).await?;
        demand_ports(service)?;
        self.start(service, fingerprint)?;
        Ok(if ran { Ensured::Restarted } else { Ensured::Started })
    }

    /// Makes services run, and returns how many had to be started.
    ///
    /// The ports of all that do not run are looked at before the first is started.
    ///
    /// # Errors
    /// [`ProcessError`] as of [`Supervisor::ensure`].
    pub async fn ensure_all(&self, services: &[Service]) -> Result<usize, ProcessError> {
        for service in services {
            if self.running(&service.name).is_none() {
                self.end(&self.named(&service.name)).await?;
                demand_ports(service)?;
            }
        }
        let mut started = 0_usize;
        for service in services {
            let ensured = self.ensure(service).await?;
            started = started.saturating_add(usize::from(ensured != Ensured::Running));
        }
        Ok(started)
    }

    /// The process of this name, when it runs.
    pub fn running(&self, name: &str) -> Option<Running> {
        self.record_of_running(name).map(|record| Running { pid: record.pid })
    }

    /// Demands that a started process still runs.
    ///
    /// # Errors
    /// [`ProcessError::Died`] with the end of its log and the likely cause.
    pub fn demand_alive(&self, name: &str) -> Result<(), ProcessError> {
        if self.running(name).is_some() {
            return Ok(());
        }
        let log = self.layout.log(name);
        let (cause, tail) = diagnose::last_words(&log);
        Err(ProcessError::Died { name: name.to_owned(), cause, log, tail })
    }

    /// What ended a process that nobody stopped, when its log says something known.
    pub fn cause_of_end(&self, name: &str) -> Option<String> {
        let ended = self.record_path(name).exists() && self.running(name).is_none();
        ended.then(|| diagnose::known_cause(&self.layout.log(name))).flatten()
    }

    /// Stops the process of this name; false when it did not run.
    ///
    /// # Errors
    /// [`ProcessError`] when it does not end.
    pub async fn stop(&self, name: &str) -> Result<bool, ProcessError> {
        let found = self.named(name);
        self.end(&found).await?;
        self.forget(name)?;
        Ok(!found.is_empty())
    }

    /// Stops every process that carries this state folder, recorded or not; returns how many there were.
    ///
    /// # Errors
    /// [`ProcessError`] when one does not end.
    pub async fn sweep(&self) -> Result<usize, ProcessError> {
        let mut stopped = 0_usize;
        loop {
            let found = self.marked();
            if found.is_empty() {
                break;
            }
            stopped = stopped.saturating_add(found.len());
            self.end(&found).await?;
        }
        let run = self.layout.run();
        if run.exists() {
            for entry in fs::read_dir(&run).map_err(|e| FileError::new(&run, "read", e))? {
                let path = entry.map_err(|e| FileError::new(&run, "read", e))?.path();
                fs::remove_file(&path).map_err(|e| FileError::new(&path, "removed", e))?;
            }
        }
        Ok(stopped)
    }

    /// Every living process, other than this one, that was started for this state folder.
    ///
    /// It carries the folder, or its record names it: in the moment in which a process exchanges its program, the
    /// kernel shows no environment.
    pub fn marked(&self) -> Vec<u32> {
        self.reap();
        let recorded = self.recorded();
        all()
            .filter(|pid| *pid != std::process::id())
            .filter(|pid| recorded.contains_key(pid) || self.carries_folder(*pid))
            .filter(|pid| proc_fs::start_ticks(*pid).is_some())
            .collect()
    }

    /// Processes that carry this state folder and a name, and that no record knows; with their names.
    pub(crate) fn unrecorded(&self) -> Vec<(u32, String)> {
        let recorded = self.recorded();
        self.marked()
            .into_iter()
            .filter(|pid| !recorded.contains_key(pid))
            // What a peer starts to build a package carries the folder and no name.
            .filter_map(|pid| Some((pid, proc_fs::variable_of(pid, NAME)?.to_string_lossy().into_owned())))
            .collect()
    }

    /// The names of processes that were started and were not stopped.
    pub(crate) fn started(&self) -> Vec<String> {
        let mut names: Vec<String> = self.record_names().collect();
        names.sort();
        names
    }

    /// The names of processes that were started, have ended by themselves, and were not stopped.
    pub(crate) fn ended(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.record_names().filter(|name| self.record_of_running(name).is_none()).collect();
        names.sort();
        names
    }

    /// The processes of this name, recorded or not.
    fn named(&self, name: &str) -> Vec<u32> {
        let recorded = self.recorded();
        let mut found = self.marked();
        found.retain(|pid| {
            recorded.get(pid).is_some_and(|known| known == name)
                || proc_fs::carries(*pid, NAME, name.as_ref())
        });
        found
    }

    /// The names of the processes that run by their records.
    fn recorded(&self) -> BTreeMap<u32, String> {
        self.record_names()
            .filter_map(|name| self.record_of_running(&name).map(|record| (record.pid, name)))
            .collect()
    }

    fn record_names(&self) -> impl Iterator<Item = String> + use<> {
        fs::read_dir(self.layout.run())
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json").map(ToOwned::to_owned))
            .filter(|name| !name.starts_with('.'))
    }

    fn carries_folder(&self, pid: u32) -> bool {
        proc_fs::carries(pid, MARKER, self.layout.root().as_os_str())
    }

    fn start(&self, service: &Service, fingerprint: String) -> Result<(), ProcessError> {
        let log = self.layout.log(&service.name);
        let run = self.layout.run();
        files::make_folder(&run)?;
        files::make_folder(&self.layout.logs())?;
        turn_logs(&log)?;
        let output = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&log)
            .map_err(|e| FileError::new(&log, "opened", e))?;
        let errors = output.try_clone().map_err(|e| FileError::new(&log, "opened", e))?;
        let inherited = INHERITED.iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value)));
        let child = Command::new(&service.program)
            .args(&service.args)
            .env_clear()
            .envs(inherited)
            .envs(&service.env)
            .env(MARKER, self.layout.root())
            .env(NAME, &service.name)
            .current_dir(self.layout.root())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            // A group of its own: an operator's Ctrl-C ends the command, not the network.
            .process_group(0)
            .spawn()
            .map_err(|source| ProcessError::Start {
                name: service.name.clone(),
                program: service.program.clone(),
                source,
            })?;
        let pid = child.id();
        let record = Record {
            pid,
            start_ticks: proc_fs::start_ticks(pid).unwrap_or_default(),
            boot_id: proc_fs::boot_id(),
            fingerprint,
        };
        self.children().insert(pid, child);
        let text = serde_json::to_string(&record).unwrap_or_default();
        files::replace(&self.record_path(&service.name), files::PUBLIC, text.as_bytes())?;
        Ok(())
    }

    /// Asks processes to end, then makes them, and waits until the kernel has closed their files and sockets.
    async fn end(&self, pids: &[u32]) -> Result<(), ProcessError> {
        let mut handles =
            pids.iter().filter_map(|pid| self.handle(*pid).transpose()).collect::<Result<Vec<_>, _>>()?;
        for (signal, grace) in [(Signal::TERM, GRACE), (Signal::KILL, KILL_GRACE)] {
            for handle in &handles {
                handle.send(signal)?;
            }
            let begun = Instant::now();
            while begun.elapsed() < grace {
                handles.retain(|handle| !handle.has_ended());
                self.reap();
                if handles.is_empty() {
                    return Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        }
        Err(ProcessError::Unstoppable(handles.iter().map(Handle::pid).collect()))
    }

    /// Lets a process go on that stands still, since whoever froze it is gone.
    fn wake(&self, pid: u32) -> Result<(), ProcessError> {
        if proc_fs::stands_still(pid)
            && let Some(handle) = self.handle(pid)?
        {
            handle.send(Signal::CONT)?;
        }
        Ok(())
    }

    /// A handle of a process that is ours; with it the id cannot come to mean another process.
    fn handle(&self, pid: u32) -> Result<Option<Handle>, ProcessError> {
        let handle = Handle::open(pid)?;
        let ours = self.carries_folder(pid) || self.recorded().contains_key(&pid);
        Ok(handle.filter(|_| ours))
    }

    fn record_of_running(&self, name: &str) -> Option<Record> {
        self.reap();
        let text = files::read(&self.record_path(name)).ok()?;
        let record: Record = serde_json::from_str(&text).ok()?;
        let alive = proc_fs::start_ticks(record.pid) == Some(record.start_ticks)
            && record.boot_id == proc_fs::boot_id();
        alive.then_some(record)
    }

    fn record_path(&self, name: &str) -> PathBuf {
        self.layout.run().join(format!("{name}.json"))
    }

    fn forget(&self, name: &str) -> Result<(), FileError> {
        let path = self.record_path(name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(FileError::new(&path, "removed", e)),
            _ => Ok(()),
        }
    }

    fn reap(&self) {
        self.children().retain(|_, child| matches!(child.try_wait(), Ok(None)));
    }

    fn children(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, Child>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn demand_ports(service: &Service) -> Result<(), ProcessError> {
    ports::demand_free(&service.name, &service.ports)
        .map_err(|source| ProcessError::Port { name: service.name.clone(), source })
}

/// Gives the log of the run before the next number, and drops the oldest.
fn turn_logs(log: &Path) -> Result<(), FileError> {
    let numbered = |number: u32| PathBuf::from(format!("{}.{number}", log.display()));
    let rename = |from: &Path, to: &Path| match fs::rename(from, to) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(FileError::new(from, "renamed", e)),
        _ => Ok(()),
    };
    for number in (1..OLD_LOGS).rev() {
        rename(&numbered(number), &numbered(number.saturating_add(1)))?;
    }
    rename(log, &numbered(1))
}

#[cfg(test)]
mod tests;
