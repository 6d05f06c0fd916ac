//! The daemon of a hospital: release of record versions on committed decisions.
//!
//! [`Server::bind`] opens the listeners, [`Server::run`] serves until it is told to stop; [`serve`] does both.
//! The API is HTTP/1.1 over mutual TLS, under `/v1`; every failure is a [`caretrail_records::Failure`].
//!
//! | method and path | answers |
//! |---|---|
//! | `POST /v1/releases` | a version's secret, wrapped to the asker's key, once its disclosure is VALID in a block |
//! | `GET /v1/releases/{decision}/{record}/blob` | the sealed blob of a release, with ranges; its ETag is its digest |
//! | `GET /livez` | that the process answers |
//! | `GET /readyz` | whether ledger, vault and store answer and members are trusted, and what fails |

mod answer;
mod blob;
pub mod checks;
mod config;
mod health;
mod membership;
mod places;
mod release;
mod serving;
mod tls;
mod trust;
mod write_deadline;

pub use config::{Config, Limits};
pub use serving::{Drained, ServeError, Server, serve};
pub use trust::TrustError;
