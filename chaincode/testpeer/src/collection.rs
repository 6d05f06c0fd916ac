//! Private collections as a chaincode definition would declare them.

/// What starts the name of an organisation's implicit collection.
const IMPLICIT: &str = "_implicit_org_";

/// A private collection: who keeps it, and whose clients may read and write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateCollection {
    name: String,
    members: Option<Vec<String>>,
    member_only_read: bool,
    member_only_write: bool,
}

impl PrivateCollection {
    /// A collection that every organisation keeps and everybody may read and write.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), members: None, member_only_read: false, member_only_write: false }
    }

    /// The MSP ids of the organisations that keep it; peers of others hold hashes only.
    #[must_use]
    pub fn members<M: Into<String>>(mut self, msp_ids: impl IntoIterator<Item = M>) -> Self {
        self.members = Some(msp_ids.into_iter().map(Into::into).collect());
        self
    }

    /// Only members' clients may read it (`memberOnlyRead`).
    #[must_use]
    pub fn member_only_read(mut self) -> Self {
        self.member_only_read = true;
        self
    }

    /// Only members' clients may write it (`memberOnlyWrite`).
    #[must_use]
    pub fn member_only_write(mut self) -> Self {
        self.member_only_write = true;
        self
    }

    /// The implicit collection of an organisation, if the name is one.
    pub(crate) fn implicit(name: &str) -> Option<Self> {
        let organization = name.strip_prefix(IMPLICIT).filter(|organization| !organization.is_empty())?;
        // Clients of every organisation may write to another one's, which is what they are for.
        Some(Self::new(name).members([organization]))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn has_member(&self, msp_id: &str) -> bool {
        self.members.as_ref().is_none_or(|members| members.iter().any(|member| member == msp_id))
    }

    pub(crate) fn may_read(&self, msp_id: &str) -> bool {
        !self.member_only_read || self.has_member(msp_id)
    }

    pub(crate) fn may_write(&self, msp_id: &str) -> bool {
        !self.member_only_write || self.has_member(msp_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implicit_collections_belong_to_the_organisation_in_their_name() {
        let implicit = PrivateCollection::implicit("_implicit_org_NorthMSP").unwrap();
        assert!(implicit.has_member("NorthMSP") && !implicit.has_member("SouthMSP"));
        assert!(implicit.may_write("SouthMSP") && implicit.may_read("SouthMSP"));
        assert_eq!(PrivateCollection::implicit("_implicit_org_"), None);
        assert_eq!(PrivateCollection::implicit("prices"), None);
    }
}
