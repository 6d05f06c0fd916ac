//! Keys and certificates that are read again when their files change.

use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::config::{Tls, TlsFiles};
use crate::tls::Certificates;

/// Replaces a service's certificates by what its files hold, for as long as it runs.
#[derive(Debug)]
pub(crate) struct Reload {
    files: TlsFiles,
    certificates: Certificates,
    /// What the files held when they were last read, in use or refused.
    seen: Option<Tls>,
    hangup: Hangup,
}

impl Reload {
    /// From now on SIGHUP, which would end the process, means to read the files again.
    pub(crate) fn new(tls: Tls, files: TlsFiles, certificates: Certificates) -> Self {
        Self { files, certificates, seen: Some(tls), hangup: Hangup::new() }
    }

    pub(crate) async fn run(mut self) {
        let mut checks = interval(self.files.check_every);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = checks.tick() => false,
                () = self.hangup.received() => true,
            };
            self.check(asked).await;
        }
    }

    /// Uses what the files hold if it is new. Files are replaced one after the other, so what does not
    /// fit together now may do so at the next look.
    async fn check(&mut self, asked: bool) {
        let files = self.files.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || files.read()).await else { return };
        match read {
            Ok(tls) if self.seen.as_ref() == Some(&tls) => {
                if asked {
                    info!("the certificates' files have not changed");
                }
            }
            Ok(tls) => {
                if let Err(error) = self.certificates.replace(&tls) {
                    let source = std::error::Error::source(&error).map(tracing::field::display);
                    warn!(%error, source, "new certificates are refused: the earlier ones stay in use");
                }
                self.seen = Some(tls);
            }
            Err(error) if asked || self.seen.is_some() => {
                warn!(%error, "the certificates' files are refused: the earlier ones stay in use");
                self.seen = None;
            }
            // It was said when they became unreadable.
            Err(_) => {}
        }
    }
}

/// Waits for SIGHUP; for ever where there is none.
#[derive(Debug)]
struct Hangup(#[cfg(unix)] Option<tokio::signal::unix::Signal>);

impl Hangup {
    #[cfg(unix)]
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self(signal(SignalKind::hangup()).inspect_err(|error| warn!(%error, "SIGHUP is not heard")).ok())
    }

    #[cfg(not(unix))]
    fn new() -> Self {
        Self()
    }

    async fn received(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.0
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
