//! Whose a state folder is, and what it was made from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::commands::typed;
use crate::files::{self, FileError};
use crate::layout::Layout;
use crate::spec::{Consortium, Organization, Part, SpecError};

/// What this crate writes into a folder that it makes.
const MADE_BY: &str = "hlf-network";
/// The layout's version; a later one is refused, not guessed at.
const FORMAT: u32 = 1;

/// What made a state folder, and from which spec.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    made_by: String,
    format: u32,
    consortium: Consortium,
    /// Whose own part of it this is; absent when all of it is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<Part>,
    /// Where an apply is on its way to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    applying: Option<Consortium>,
}

/// Why a folder cannot be used as a network's state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is no network in it.
    #[error("`{0}` holds no network; stand one up first: {up}", up = typed("up"))]
    None(PathBuf),
    /// Something else is in it.
    #[error("`{folder}` was not made by this program (it holds `{found}`); name another folder")]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// Something in it.
        found: String,
    },
    /// Its marker is damaged or of a later version.
    #[error("`{path}` cannot be used: {reason}")]
    Marker {
        /// The marker file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The spec says something else than the folder was made from.
    #[error(
        "the spec's `{field}` differs from what this network is; put it back, or change the running network: {plan}, then {apply}",
        plan = typed("plan --spec FILE"),
        apply = typed("apply --spec FILE")
    )]
    Changed {
        /// The field.
        field: String,
    },
    /// It holds one organisation's part, or all of a consortium, and the other was meant.
    #[error("`{folder}` holds {held}; {fix}")]
    Kind {
        /// The folder.
        folder: PathBuf,
        /// What is in it.
        held: String,
        /// What to do instead.
        fix: &'static str,
    },
    /// The organisation's own document says something that cannot be.
    #[error("the organisation's own document is refused")]
    Part(#[from] SpecError),
    /// Its path cannot stand in Fabric's configuration files.
    #[error("the path `{0}` is not UTF-8, or holds control characters; name another folder")]
    Path(PathBuf),
    /// The folder cannot be read or written.
    #[error("the state folder cannot be used")]
    File(#[from] FileError),
}

/// The absolute path of a folder that need not exist, its links resolved as far as it does.
///
/// One folder must always have one path: by it its processes are found.
pub(super) fn absolute(folder: &Path) -> Result<PathBuf, StateError> {
    let path = resolved(folder)?;
    match path.to_str() {
        Some(text) if !text.contains(char::is_control) => Ok(path),
        _ => Err(StateError::Path(path)),
    }
}

fn resolved(folder: &Path) -> Result<PathBuf, StateError> {
    let refused = |e| StateError::File(FileError::new(folder, "found", e));
    let path = std::path::absolute(folder).map_err(refused)?;
    let mut missing = Vec::new();
    let mut existing = path.as_path();
    loop {
        match existing.canonicalize() {
            Ok(found) => return Ok(missing.iter().rev().fold(found, |at, name| at.join(name))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let (Some(parent), Some(name)) = (existing.parent(), existing.file_name()) else {
                    return Err(refused(e));
                };
                missing.push(name.to_owned());
                existing = parent;
            }
            Err(e) => return Err(refused(e)),
        }
    }
}

/// The spec that the network in a folder is of.
pub(super) fn read(layout: &Layout) -> Result<Consortium, StateError> {
    marker(layout).map(|marker| marker.consortium)
}

/// The same, and whose part of it the folder is.
pub(super) fn read_whole(layout: &Layout) -> Result<(Consortium, Option<Part>), StateError> {
    marker(layout).map(|marker| (marker.consortium, marker.part))
}

/// The spec that an apply which was interrupted leads to.
pub(super) fn unfinished(layout: &Layout) -> Result<Option<Consortium>, StateError> {
    marker(layout).map(|marker| marker.applying)
}

fn marker(layout: &Layout) -> Result<Marker, StateError> {
    let path = layout.marker();
    if !path.exists() {
        return Err(StateError::None(layout.root().to_owned()));
    }
    let wrong = |reason: String| StateError::Marker { path: path.clone(), reason };
    let marker: Marker = serde_json::from_str(&files::read(&path)?).map_err(|e| wrong(e.to_string()))?;
    if marker.made_by != MADE_BY {
        return Err(wrong(format!("it was made by `{}`", marker.made_by)));
    }
    if marker.format != FORMAT {
        return Err(wrong(format!(
            "it is of format {}, and this program knows {FORMAT}; use the program that made it",
            marker.format
        )));
    }
    Ok(marker)
}

/// Makes a folder this network's, or demands that it is; called under its lock.
///
/// What may change of a spec is recorded by [`record`], once it is true.
pub(super) fn claim(layout: &Layout, spec: &Consortium) -> Result<(), StateError> {
    demand_whole(layout)?;
    match read(layout) {
        Ok(made) => match changed(&made, spec) {
            Some(field) => Err(StateError::Changed { field }),
            None => Ok(()),
        },
        Err(StateError::None(_)) => {
            demand_empty(layout)?;
            record(layout, spec)
        }
        Err(error) => Err(error),
    }
}

/// Demands that a folder does not hold one organisation's part alone.
pub(super) fn demand_whole(layout: &Layout) -> Result<(), StateError> {
    match read_whole(layout) {
        Ok((_, Some(part))) => Err(part_alone(layout, &part)),
        Ok((_, None)) | Err(StateError::None(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Why what concerns all of a consortium is not done in a part of it.
pub(super) fn part_alone(layout: &Layout, part: &Part) -> StateError {
    StateError::Kind {
        folder: layout.root().to_owned(),
        held: format!("the part of `{}` alone", part.organization),
        fix: "the others' steps are theirs: stand up the own part, and change the channel by proposals",
    }
}

/// Makes a folder one organisation's part, or demands that it is; called under its lock.
///
/// Of the consortium may change what the members change on the channel by proposals; what a node, a certificate or
/// every block carries may not.
pub(super) fn claim_part(layout: &Layout, spec: &Consortium, part: &Part) -> Result<(), StateError> {
    part.check(spec)?;
    match read_whole(layout) {
        Ok((_, None)) => Err(StateError::Kind {
            folder: layout.root().to_owned(),
            held: "all of a consortium".to_owned(),
            fix: "give the organisation's own part a folder of its own",
        }),
        Ok((made, Some(known))) => {
            if known.organization != part.organization {
                return Err(StateError::Kind {
                    folder: layout.root().to_owned(),
                    held: format!("the part of `{}`", known.organization),
                    fix: "give each organisation a folder of its own",
                });
            }
            match changed_in_part(&made, spec) {
                Some(field) => Err(StateError::Changed { field }),
                None => write(layout, spec, Some(part.clone()), None),
            }
        }
        Err(StateError::None(_)) => {
            demand_empty(layout)?;
            write(layout, spec, Some(part.clone()), None)
        }
        Err(error) => Err(error),
    }
}

/// Makes a folder one organisation's part, whatever it was made as.
pub(super) fn make_part(layout: &Layout, spec: &Consortium, part: Part) -> Result<(), StateError> {
    part.check(spec)?;
    write(layout, spec, Some(part), None)
}

/// The first field that certificates, nodes or blocks carry.
fn changed_in_part(made: &Consortium, spec: &Consortium) -> Option<String> {
    let (ordering, wanted) = (&made.orderer, &spec.orderer);
    for (same, field) in [
        (made.channel.name == spec.channel.name, "channel.name"),
        (ordering.msp_id == wanted.msp_id, "orderer.msp_id"),
        (ordering.domain == wanted.domain, "orderer.domain"),
        (ordering.consensus == wanted.consensus, "orderer.consensus"),
    ] {
        if !same {
            return Some(field.to_owned());
        }
    }
    spec.organizations.iter().enumerate().find_map(|(index, wanted)| {
        let known = made.organizations.iter().find(|known| known.name == wanted.name)?;
        let field = match known {
            known if known.msp_id != wanted.msp_id => "msp_id",
            known if known.domain != wanted.domain => "domain",
            _ => return None,
        };
        Some(format!("organizations[{index}].{field}"))
    })
}

/// Notes the spec that a folder's network is of; an apply that is under way stays so.
pub(super) fn record(layout: &Layout, spec: &Consortium) -> Result<(), StateError> {
    let (part, applying) = match marker(layout) {
        Ok(marker) => (marker.part, marker.applying),
        Err(StateError::None(_)) => (None, None),
        Err(error) => return Err(error),
    };
    write(layout, spec, part, applying)
}

/// Notes that an apply of another spec begins.
pub(super) fn begin(layout: &Layout, spec: &Consortium, target: &Consortium) -> Result<(), StateError> {
    write(layout, spec, None, Some(target.clone()))
}

/// Notes that the network is of the spec that was applied.
pub(super) fn finish(layout: &Layout, spec: &Consortium) -> Result<(), StateError> {
    write(layout, spec, None, None)
}

fn write(
    layout: &Layout,
    spec: &Consortium,
    part: Option<Part>,
    applying: Option<Consortium>,
) -> Result<(), StateError> {
    let made_by = MADE_BY.to_owned();
    let marker = Marker { made_by, format: FORMAT, consortium: spec.clone(), part, applying };
    Ok(files::replace_json(&layout.marker(), &marker)?)
}

/// The first field that cannot change in a network that exists. Users, limits of peers and chaincode can.
pub(super) fn changed(made: &Consortium, spec: &Consortium) -> Option<String> {
    if made.fabric != spec.fabric {
        return Some("fabric".to_owned());
    }
    if made.channel != spec.channel {
        return Some("channel".to_owned());
    }
    if made.orderer != spec.orderer {
        return Some("orderer".to_owned());
    }
    let lasting = |organization: &Organization| Organization {
        users: Vec::new(),
        gateway_concurrency: BTreeMap::new(),
        ..organization.clone()
    };
    if made.organizations.len() != spec.organizations.len() {
        return Some("organizations".to_owned());
    }
    made.organizations
        .iter()
        .zip(&spec.organizations)
        .position(|(made, spec)| lasting(made) != lasting(spec))
        .map(|index| format!("organizations[{index}]"))
}

/// Demands that a folder without a marker holds nothing but what claiming it leaves.
fn demand_empty(layout: &Layout) -> Result<(), StateError> {
    let root = layout.root();
    let entries = fs::read_dir(root).map_err(|e| FileError::new(root, "read", e))?;
    for entry in entries {
        let entry = entry.map_err(|e| FileError::new(root, "read", e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path() != layout.lock() && name != ".network.json.draft" {
            return Err(StateError::Foreign { folder: root.to_owned(), found: name });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Chaincode, DEFAULT, User};

    fn spec() -> Consortium {
        Consortium::parse(DEFAULT).unwrap()
    }

    fn layout(home: &tempfile::TempDir) -> Layout {
        Layout::new(absolute(home.path()).unwrap())
    }

    #[test]
    fn a_folder_is_claimed_once_and_known_again() {
        let home = tempfile::tempdir().unwrap();
        let layout = layout(&home);
        assert!(matches!(read(&layout), Err(StateError::None(_))));
        claim(&layout, &spec()).unwrap();
        claim(&layout, &spec()).unwrap();
        assert_eq!(read(&layout).unwrap(), spec());
    }

    #[test]
    fn a_folder_of_somebody_elses_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("thesis.txt"), "years of work").unwrap();
        assert!(matches!(
            claim(&layout(&home), &spec()),
            Err(StateError::Foreign { found, .. }) if found == "thesis.txt"
        ));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn users_and_chaincode_may_change_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let layout = layout(&home);
        claim(&layout, &spec()).unwrap();
        let mut changed = spec();
        let user = User {
            name: "late".to_owned(),
            node_ou: Default::default(),
            common_name: None,
            attributes: Default::default(),
            key: Default::default(),
        };
        changed.add_user("north", user).unwrap();
        changed.set_chaincode(Chaincode::new("basic", "basic_1.0")).unwrap();
        claim(&layout, &changed).unwrap();
        assert_eq!(read(&layout).unwrap(), spec(), "not before it is true");
        record(&layout, &changed).unwrap();
        assert_eq!(read(&layout).unwrap(), changed);
        for (from, to, field) in [
            ("3.1.1", "2.5.9", "fabric"),
            ("timeout_ms = 200", "timeout_ms = 300", "channel"),
            ("orderer0", "orderer1", "orderer"),
            ("NorthMSP", "NordMSP", "organizations[0]"),
        ] {
            let other = Consortium::parse(&DEFAULT.replacen(from, to, 1)).unwrap();
            match claim(&layout, &other) {
                Err(StateError::Changed { field: named }) => assert_eq!(named, field),
                other => panic!("{to}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_part_and_a_whole_consortium_never_share_a_folder() {
        let home = tempfile::tempdir().unwrap();
        let part_of_north = layout(&home);
        let north = Part::new("north");
        claim_part(&part_of_north, &spec(), &north).unwrap();
        claim_part(&part_of_north, &spec(), &north).unwrap();
        assert!(matches!(claim(&part_of_north, &spec()), Err(StateError::Kind { .. })));
        let south = claim_part(&part_of_north, &spec(), &Part::new("south")).unwrap_err();
        assert!(south.to_string().contains("the part of `north`"), "{south}");
        assert!(matches!(claim_part(&part_of_north, &spec(), &Part::new("west")), Err(StateError::Part(_))));

        // What the members change on the channel may change, and nothing that certificates or blocks carry.
        for (from, to, field) in [
            ("timeout_ms = 200", "timeout_ms = 300", None),
            ("SouthMSP", "SudMSP", Some("organizations[1].msp_id")),
            ("south.example.com", "sud.example.com", Some("organizations[1].domain")),
            ("name = \"consortium\"", "name = \"other\"", Some("channel.name")),
        ] {
            let other = Consortium::parse(&DEFAULT.replacen(from, to, 1)).unwrap();
            match (claim_part(&part_of_north, &other, &north), field) {
                (Ok(()), None) => claim_part(&part_of_north, &spec(), &north).unwrap(),
                (Err(StateError::Changed { field: named }), Some(field)) => assert_eq!(named, field),
                (other, _) => panic!("{to}: {other:?}"),
            }
        }

        let whole = tempfile::tempdir().unwrap();
        let whole = layout(&whole);
        files::make_folder(whole.root()).unwrap();
        claim(&whole, &spec()).unwrap();
        assert!(matches!(claim_part(&whole, &spec(), &north), Err(StateError::Kind { .. })));
    }

    #[test]
    fn a_later_format_is_not_guessed_at() {
        let home = tempfile::tempdir().unwrap();
        let layout = layout(&home);
        claim(&layout, &spec()).unwrap();
        let text = fs::read_to_string(layout.marker()).unwrap();
        fs::write(layout.marker(), text.replace("\"format\": 1", "\"format\": 2")).unwrap();
        assert!(matches!(claim(&layout, &spec()), Err(StateError::Marker { .. })));
    }

    #[test]
    fn a_path_that_configuration_files_cannot_hold_is_refused() {
        use std::os::unix::ffi::OsStrExt;
        let home = tempfile::tempdir().unwrap();
        for name in [&b"\xff"[..], b"a\nb"] {
            let folder = home.path().join(std::ffi::OsStr::from_bytes(name));
            assert!(matches!(absolute(&folder), Err(StateError::Path(_))));
        }
    }

    #[test]
    fn one_folder_has_one_path() {
        let home = tempfile::tempdir().unwrap();
        let real = home.path().join("real");
        fs::create_dir(&real).unwrap();
        let link = home.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(absolute(&link).unwrap(), absolute(&real).unwrap());
        assert_eq!(absolute(&link.join("new/state")).unwrap(), absolute(&real).unwrap().join("new/state"));
    }
}
