//! One hospital's own part of the network, by its own document.

use std::path::Path;

use anyhow::Context as _;
use caretrail_records::failure::chain;
use hlf_network::network::{Network, Options};
use hlf_network::spec::Part;

use super::plan::read;
use super::up::{self, Programs};
use crate::app::{App, PART};
use crate::failure::Invalid;

/// The own part: by the documents when they are there, and else as it was stood up from them.
pub(super) fn own(app: &App) -> anyhow::Result<Option<Network>> {
    let folder = app.network_folder();
    if let Some(file) = app.part() {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("the hospital's own document `{}` cannot be read", file.display()))?;
        let wrong = |error| Invalid(format!("`{}` does not serve: {}", file.display(), chain(&error)));
        let absolute = std::path::absolute(file)?;
        let part = Part::parse(&text).map_err(wrong)?.resolved(absolute.parent().unwrap_or(Path::new("/")));
        let consortium = read(&part.consortium)?;
        part.check(&consortium).map_err(wrong)?;
        return Ok(Some(Network::new_part(&folder, consortium, part)?));
    }
    Ok(Network::existing(&folder).ok().filter(|network| network.part().is_some()))
}

/// The own part, where there has to be one.
pub(super) fn demanded(app: &App) -> anyhow::Result<Network> {
    own(app)?.ok_or_else(|| {
        let problem = format!(
            "there is no `{PART}` here: write one with `caretrail network init`, go to its folder, or name it with --part"
        );
        Invalid(problem).into()
    })
}

/// What the own nodes are run with; the ordering organisation runs no contract.
pub(super) fn options(programs: &Programs, own: &Network) -> anyhow::Result<Options> {
    let mut programs = programs.clone();
    let part = own.part();
    if part.is_some_and(Part::is_ordering) {
        return up::without_chaincode(&programs, own.spec());
    }
    if programs.chaincode_bin.is_none() {
        programs.chaincode_bin = part.and_then(|part| part.chaincode_program.clone());
    }
    up::options(&programs, own.spec())
}
