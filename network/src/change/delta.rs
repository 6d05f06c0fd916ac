//! The update between two configurations, and a configuration with an update applied.
//!
//! Orderers take an update as two trees: what it was made from, by version, and what it leads to. An element whose
//! version is one higher is changed and needs the signatures of its policy; one with version 0 that is not there yet
//! is added, which changes the group that holds it. Rules: Fabric `common/configtx`.

use std::collections::BTreeMap;

use hlf_protos::common::{ConfigGroup, ConfigPolicy, ConfigUpdate, ConfigValue};

use super::config::{ChannelConfig, ConfigError};

/// The update that leads from one configuration to another; `None` when they are alike.
pub(crate) fn between(
    present: &ChannelConfig,
    wanted: &ChannelConfig,
) -> Result<Option<ConfigUpdate>, ConfigError> {
    let sets = group(present.root()?, wanted.root()?);
    Ok(sets.changed.then(|| ConfigUpdate {
        channel_id: present.channel().to_owned(),
        read_set: Some(sets.read),
        write_set: Some(sets.write),
        isolated_data: BTreeMap::new(),
    }))
}

/// What an element of an update does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Touched {
    /// Names from the root's children down to the element.
    pub(crate) path: Vec<String>,
    /// Which kind of element it is.
    pub(crate) kind: Kind,
}

/// The kinds of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Group,
    Value,
    Policy,
}

/// Elements that are in the channel and that an update changes: those whose policies guard it.
pub(crate) fn touched(update: &ConfigUpdate) -> Vec<Touched> {
    let mut found = Vec::new();
    if let Some(write) = &update.write_set {
        walk(update.read_set.as_ref(), write, &mut Vec::new(), &mut found);
    }
    found
}

fn walk(read: Option<&ConfigGroup>, write: &ConfigGroup, path: &mut Vec<String>, found: &mut Vec<Touched>) {
    // Version 0 is that of new elements: the group that holds them is changed in their stead.
    let is_changed = |version: u64, read: Option<u64>| version > 0 && read != Some(version);
    if is_changed(write.version, read.map(|group| group.version)) {
        found.push(Touched { path: path.clone(), kind: Kind::Group });
    }
    for (name, value) in &write.values {
        let before = read.and_then(|group| group.values.get(name)).map(|value| value.version);
        if is_changed(value.version, before) {
            found.push(Touched { path: below(path, name), kind: Kind::Value });
        }
    }
    for (name, policy) in &write.policies {
        let before = read.and_then(|group| group.policies.get(name)).map(|policy| policy.version);
        if is_changed(policy.version, before) {
            found.push(Touched { path: below(path, name), kind: Kind::Policy });
        }
    }
    for (name, inner) in &write.groups {
        path.push(name.clone());
        walk(read.and_then(|group| group.groups.get(name)), inner, path, found);
        path.pop();
    }
}

/// A path with one more name.
fn below(path: &[String], name: &str) -> Vec<String> {
    path.iter().cloned().chain([name.to_owned()]).collect()
}

/// Where an update no longer fits a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stale {
    /// The element, from `/Channel` down.
    pub(crate) path: String,
}

/// The configuration that an update leads to, or where it no longer fits.
pub(crate) fn applied(present: &ChannelConfig, update: &ConfigUpdate) -> Result<ChannelConfig, Stale> {
    let stale = || Stale { path: "/Channel".to_owned() };
    let root = present.root().map_err(|_| stale())?;
    let read = update.read_set.clone().unwrap_or_default();
    demand_read(root, &read, "/Channel")?;
    let write = update.write_set.as_ref().ok_or_else(stale)?;
    let group = write_group(Some(root), Some(&read), write, "/Channel")?;
    let mut config = present.config().clone();
    config.sequence = config.sequence.saturating_add(1);
    config.channel_group = Some(group);
    ChannelConfig::new(present.channel().to_owned(), config).map_err(|_| stale())
}

/// Whether a configuration holds everything that an update writes, in the version it writes or a later one.
pub(crate) fn is_written(present: &ChannelConfig, update: &ConfigUpdate) -> bool {
    match (present.root(), &update.write_set) {
        (Ok(root), Some(write)) => holds(root, write),
        _ => false,
    }
}

fn holds(present: &ConfigGroup, write: &ConfigGroup) -> bool {
    let later = |found: Option<u64>, written: u64| found.is_some_and(|found| found >= written);
    later(Some(present.version), write.version)
        && write
            .values
            .iter()
            .all(|(name, value)| later(present.values.get(name).map(|found| found.version), value.version))
        && write.policies.iter().all(|(name, policy)| {
            later(present.policies.get(name).map(|found| found.version), policy.version)
        })
        && write
            .groups
            .iter()
            .all(|(name, inner)| present.groups.get(name).is_some_and(|found| holds(found, inner)))
}

/// Demands that everything an update was made from still has the version it had.
fn demand_read(present: &ConfigGroup, read: &ConfigGroup, path: &str) -> Result<(), Stale> {
    let stale = |name: &str| Stale { path: format!("{path}/{name}") };
    if present.version != read.version {
        return Err(Stale { path: path.to_owned() });
    }
    for (name, value) in &read.values {
        if present.values.get(name).map(|value| value.version) != Some(value.version) {
            return Err(stale(name));
        }
    }
    for (name, policy) in &read.policies {
        if present.policies.get(name).map(|policy| policy.version) != Some(policy.version) {
            return Err(stale(name));
        }
    }
    for (name, inner) in &read.groups {
        let present = present.groups.get(name).ok_or_else(|| stale(name))?;
        demand_read(present, inner, &format!("{path}/{name}"))?;
    }
    Ok(())
}

/// A group as an update writes it.
fn write_group(
    present: Option<&ConfigGroup>,
    read: Option<&ConfigGroup>,
    write: &ConfigGroup,
    path: &str,
) -> Result<ConfigGroup, Stale> {
    let Some(present) = present else {
        return if write.version == 0 { Ok(write.clone()) } else { Err(Stale { path: path.to_owned() }) };
    };
    let replaced = is_change(Some(present.version), read.map(|group| group.version), write.version, path)?;
    // A group of unchanged version keeps what the update does not mention.
    let mut group = if replaced {
        ConfigGroup { version: write.version, mod_policy: write.mod_policy.clone(), ..ConfigGroup::default() }
    } else {
        present.clone()
    };
    for (name, value) in &write.values {
        let before = present.values.get(name);
        let read = read.and_then(|group| group.values.get(name)).map(|value| value.version);
        let path = format!("{path}/{name}");
        let changed = is_change(before.map(|value| value.version), read, value.version, &path)?;
        let value = if changed { Some(value) } else { before };
        group.values.extend(value.map(|value| (name.clone(), value.clone())));
    }
    for (name, policy) in &write.policies {
        let before = present.policies.get(name);
        let read = read.and_then(|group| group.policies.get(name)).map(|policy| policy.version);
        let path = format!("{path}/{name}");
        let changed = is_change(before.map(|policy| policy.version), read, policy.version, &path)?;
        let policy = if changed { Some(policy) } else { before };
        group.policies.extend(policy.map(|policy| (name.clone(), policy.clone())));
    }
    for (name, inner) in &write.groups {
        let read = read.and_then(|group| group.groups.get(name));
        let inner = write_group(present.groups.get(name), read, inner, &format!("{path}/{name}"))?;
        group.groups.insert(name.clone(), inner);
    }
    Ok(group)
}

/// Whether an element is written anew: what was read in the same version is only mentioned.
fn is_change(present: Option<u64>, read: Option<u64>, written: u64, path: &str) -> Result<bool, Stale> {
    let follows = match present {
        None => written == 0,
        Some(present) => Some(written) == present.checked_add(1),
    };
    match read {
        Some(read) if read == written && present == Some(written) => Ok(false),
        _ if follows => Ok(true),
        _ => Err(Stale { path: path.to_owned() }),
    }
}

/// A group's part of both trees.
struct Sets {
    read: ConfigGroup,
    write: ConfigGroup,
    changed: bool,
}

/// Elements of one kind in both trees, and whether some came or went.
struct Members<T> {
    /// Changed and new ones.
    written: BTreeMap<String, T>,
    /// The others, by their version alone.
    same: BTreeMap<String, T>,
    came_or_went: bool,
}

fn members<T: Clone>(
    present: &BTreeMap<String, T>,
    wanted: &BTreeMap<String, T>,
    is_same: impl Fn(&T, &T) -> bool,
    reference: impl Fn(&T) -> T,
    raised: impl Fn(&T, &T) -> T,
    new: impl Fn(&T) -> T,
) -> Members<T> {
    let mut found = Members { written: BTreeMap::new(), same: BTreeMap::new(), came_or_went: false };
    for (name, wanted) in wanted {
        match present.get(name) {
            Some(present) if is_same(present, wanted) => {
                found.same.insert(name.clone(), reference(present));
            }
            Some(present) => {
                found.written.insert(name.clone(), raised(present, wanted));
            }
            None => {
                found.came_or_went = true;
                found.written.insert(name.clone(), new(wanted));
            }
        }
    }
    found.came_or_went |= present.keys().any(|name| !wanted.contains_key(name));
    found
}

fn group(present: &ConfigGroup, wanted: &ConfigGroup) -> Sets {
    let values = members(
        &present.values,
        &wanted.values,
        |a, b| a.value == b.value && a.mod_policy == b.mod_policy,
        |value| ConfigValue { version: value.version, ..ConfigValue::default() },
        |before, after| ConfigValue { version: before.version.saturating_add(1), ..after.clone() },
        |value| ConfigValue { version: 0, ..value.clone() },
    );
    let policies = members(
        &present.policies,
        &wanted.policies,
        |a, b| a.policy == b.policy && a.mod_policy == b.mod_policy,
        |policy| ConfigPolicy { version: policy.version, ..ConfigPolicy::default() },
        |before, after| ConfigPolicy { version: before.version.saturating_add(1), ..after.clone() },
        |policy| ConfigPolicy { version: 0, ..policy.clone() },
    );

    let mut groups = Members { written: BTreeMap::new(), same: BTreeMap::new(), came_or_went: false };
    let mut read_groups = BTreeMap::new();
    for (name, wanted) in &wanted.groups {
        match present.groups.get(name) {
            Some(present) => {
                let inner = group(present, wanted);
                if inner.changed {
                    read_groups.insert(name.clone(), inner.read);
                    groups.written.insert(name.clone(), inner.write);
                } else {
                    groups.same.insert(name.clone(), inner.read);
                }
            }
            None => {
                groups.came_or_went = true;
                groups.written.insert(name.clone(), fresh(wanted));
            }
        }
    }
    groups.came_or_went |= present.groups.keys().any(|name| !wanted.groups.contains_key(name));

    let replaced = values.came_or_went
        || policies.came_or_went
        || groups.came_or_went
        || present.mod_policy != wanted.mod_policy;
    let changed =
        replaced || !values.written.is_empty() || !policies.written.is_empty() || !groups.written.is_empty();

    let mut read = ConfigGroup { version: present.version, groups: read_groups, ..ConfigGroup::default() };
    let mut write = ConfigGroup {
        version: present.version,
        groups: groups.written,
        values: values.written,
        policies: policies.written,
        mod_policy: String::new(),
    };
    if replaced {
        // Who is not mentioned is removed, so whoever stays is, by version.
        read.groups.extend(groups.same.clone());
        write.groups.extend(groups.same);
        read.values = values.same.clone();
        write.values.extend(values.same);
        read.policies = policies.same.clone();
        write.policies.extend(policies.same);
        write.version = present.version.saturating_add(1);
        write.mod_policy.clone_from(&wanted.mod_policy);
    }
    Sets { read, write, changed }
}

/// A group that is not there yet, with all that is in it.
fn fresh(group: &ConfigGroup) -> ConfigGroup {
    ConfigGroup {
        version: 0,
        groups: group.groups.iter().map(|(name, inner)| (name.clone(), fresh(inner))).collect(),
        values: group
            .values
            .iter()
            .map(|(name, value)| (name.clone(), ConfigValue { version: 0, ..value.clone() }))
            .collect(),
        policies: group
            .policies
            .iter()
            .map(|(name, policy)| (name.clone(), ConfigPolicy { version: 0, ..policy.clone() }))
            .collect(),
        mod_policy: group.mod_policy.clone(),
    }
}
