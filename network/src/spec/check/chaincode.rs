//! What a chaincode and its collections must be.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Chaincode, Collection, EndorsementPolicy, Organization};
use super::names::segments;
use super::{ORGANIZATIONS_MAX, SpecError, once, within};

impl Chaincode {
    /// Whether a text can be a package's label: letters and digits in runs, with one of `.+-_` between them.
    pub fn is_label(text: &str) -> bool {
        label("label", text).is_ok()
    }

    pub(in crate::spec) fn check(&self, organizations: &[Organization]) -> Result<(), SpecError> {
        if !segments(&self.name, "-_") {
            return Err(SpecError::field(
                "chaincode.name",
                &self.name,
                "use letters and digits, with single `-` or `_` between them",
            ));
        }
        if !segments(&self.version, ".+-_") {
            return Err(SpecError::field(
                "chaincode.version",
                &self.version,
                "use letters and digits, with single `.`, `+`, `-` or `_` between them",
            ));
        }
        label("chaincode.label", &self.label)?;
        if self.sequence == 0 {
            return Err(SpecError::field(
                "chaincode.sequence",
                0,
                "start at 1 and add one with every change",
            ));
        }
        if let Some(policy) = &self.endorsement {
            policy_of("chaincode.endorsement", policy, organizations)?;
        }
        let mut owners = BTreeSet::new();
        for (index, package) in self.packages.iter().enumerate() {
            let at = |field: &str| format!("chaincode.packages[{index}].{field}");
            member(at("organization"), &package.organization, organizations)?;
            once(&mut owners, at("organization"), &package.organization)?;
            label(&at("label"), &package.label)?;
            if package.label == self.label {
                let fix = "give it another label than the chaincode's: by its label a package gets its id";
                return Err(SpecError::field(at("label"), &package.label, fix));
            }
        }
        let mut names = BTreeSet::new();
        for (index, collection) in self.collections.iter().enumerate() {
            let at = |field: &str| format!("chaincode.collections[{index}].{field}");
            collection.check(&at, organizations)?;
            once(&mut names, at("name"), &collection.name)?;
        }
        Ok(())
    }
}

impl Collection {
    fn check(&self, at: &dyn Fn(&str) -> String, organizations: &[Organization]) -> Result<(), SpecError> {
        let valid = (1..=128).contains(&self.name.len())
            && self.name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && self.name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if !valid {
            let fix = "use letters, digits, `-` and `_`, a letter or digit first, 1 to 128 characters";
            return Err(SpecError::field(at("name"), &self.name, fix));
        }
        within(&at("members"), self.members.len(), 1..=ORGANIZATIONS_MAX, "name 1 to 32 organisations")?;
        let mut seen = BTreeSet::new();
        let mut peers = 0_usize;
        for (index, name) in self.members.iter().enumerate() {
            let field = at(&format!("members[{index}]"));
            peers = peers.saturating_add(member(field.clone(), name, organizations)?.peers.len());
            once(&mut seen, field, name)?;
        }
        if usize::from(self.required_peers) >= peers {
            let fix = "the endorsing peer is not counted: require fewer than its members have peers";
            return Err(SpecError::field(at("required_peers"), self.required_peers, fix));
        }
        if self.max_peers < self.required_peers {
            let fix = "give the data to at least `required_peers`";
            return Err(SpecError::field(at("max_peers"), self.max_peers, fix));
        }
        self.endorsement
            .as_ref()
            .map_or(Ok(()), |policy| policy_of(&at("endorsement"), policy, organizations))
    }
}

fn label(field: &str, label: &str) -> Result<(), SpecError> {
    if segments(label, ".+-_") {
        Ok(())
    } else {
        let fix = "use letters and digits, with single `.`, `+`, `-` or `_` between them";
        Err(SpecError::field(field, label, fix))
    }
}

fn member<'a>(
    field: String,
    name: &str,
    organizations: &'a [Organization],
) -> Result<&'a Organization, SpecError> {
    organizations
        .iter()
        .find(|organization| organization.name == name)
        .ok_or_else(|| SpecError::field(field, name, "name one of the organisations in the spec"))
}

fn policy_of(
    field: &str,
    policy: &EndorsementPolicy,
    organizations: &[Organization],
) -> Result<(), SpecError> {
    let peers: BTreeMap<&str, usize> =
        organizations.iter().map(|member| (member.msp_id.as_str(), member.peers.len())).collect();
    if policy.msp_ids().iter().any(|msp_id| !peers.contains_key(msp_id)) {
        return Err(SpecError::field(field, policy, "name MSP ids of the organisations in the spec"));
    }
    if policy.is_satisfiable(&peers) {
        Ok(())
    } else {
        let fix = "no choice of the organisations' peers satisfies it; each endorses once";
        Err(SpecError::field(field, policy, fix))
    }
}
