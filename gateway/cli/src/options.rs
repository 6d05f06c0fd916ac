//! The options that every command takes.

use std::path::PathBuf;

use clap::Args;

use crate::printer::Format;

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Folder of the network's and the hospitals' state [default: the nearest `.caretrail` upwards, or here].
    #[arg(long, global = true, env = "CARETRAIL_STATE", value_name = "DIR", help_heading = "Everywhere")]
    pub(crate) state: Option<PathBuf>,
    /// The hospital's own document, where each hospital has its own part of the network [default: `organization.toml`
    /// beside the state folder]; it says which folder the state is in.
    #[arg(long, global = true, env = "CARETRAIL_PART", value_name = "FILE", help_heading = "Everywhere")]
    pub(crate) part: Option<PathBuf>,
    /// Who acts: `ORGANISATION/NAME` in the state folder, or an MSP folder (with --profile).
    #[arg(
        long,
        global = true,
        env = "CARETRAIL_IDENTITY",
        value_name = "DIR|NAME",
        help_heading = "Everywhere"
    )]
    pub(crate) identity: Option<String>,
    /// Connection profile, where the identity is an MSP folder.
    #[arg(long, global = true, env = "CARETRAIL_PROFILE", value_name = "FILE", help_heading = "Everywhere")]
    pub(crate) profile: Option<PathBuf>,
    /// Folder of the hospital's own data: vault, store, index [default: by the identity's organisation].
    #[arg(long, global = true, env = "CARETRAIL_DATA", value_name = "DIR", help_heading = "Everywhere")]
    pub(crate) data: Option<PathBuf>,
    /// Key file of the hospital's store, to be kept and backed up apart from it [default: `storage.key` beside it].
    #[arg(
        long,
        global = true,
        env = "CARETRAIL_STORAGE_KEY",
        value_name = "FILE",
        help_heading = "Everywhere"
    )]
    pub(crate) storage_key: Option<PathBuf>,
    /// How data is printed.
    #[arg(
        long,
        global = true,
        env = "CARETRAIL_FORMAT",
        value_enum,
        default_value = "table",
        help_heading = "Everywhere"
    )]
    pub(crate) format: Format,
    /// Says nothing but data and errors.
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    pub(crate) quiet: bool,
}
