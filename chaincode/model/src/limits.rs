//! Bounds that hold whatever the consortium's policy says; a policy can only be narrower.
//!
//! A policy narrows a patient's provisions and the records of a request and of a batch (`Terms`), because hospitals may
//! want fewer. The others are fixed, such as eight guardians, eight exceptions, eight grants from one permit, and the
//! sizes of previews and pages: they bound what one argument, state value or reply can be. Arguments and values are
//! read before any policy is, and builds that did not agree on them would not endorse alike.

/// Bytes of one call's JSON argument.
pub const ARGUMENT_BYTES_MAX: usize = 256 * 1024;
/// Bytes of one signed statement.
pub const STATEMENT_BYTES_MAX: usize = 16 * 1024;
/// Live provisions of one patient.
pub const PROVISIONS_MAX: usize = 64;
/// Bytes of a patient's live consents as one state value.
pub const CONSENTS_BYTES_MAX: usize = 48 * 1024;
/// Grants that are passed on from one permit.
pub const DELEGATED_PER_GRANT_MAX: usize = 8;
/// Grants that were passed on take at most one part in this many of a patient's provisions, and of their bytes.
pub const DELEGATED_PARTS: usize = 2;
/// What guardians put in force, all of them together, takes at most one part in this many of a patient's provisions,
/// rounded down, and of their bytes. The rest is for what the patient decides.
pub const GUARDIANS_PARTS: usize = 2;
/// Records in one access request.
pub const RECORDS_PER_REQUEST_MAX: usize = 100;
/// Records that one provision names.
pub const RECORDS_PER_PROVISION_MAX: usize = 100;
/// Custodians whose tags one scope names.
pub const TAG_SETS_MAX: usize = 16;
/// Tags of one custodian in one scope.
pub const TAGS_PER_SET_MAX: usize = 32;
/// Tags of one record: always this many, those of its labels, and fillers that the same key gives of the record's id.
pub const TAGS_PER_RECORD: usize = 8;
/// Bytes of a label, before it is blinded.
pub const LABEL_BYTES_MAX: usize = 64;
/// Exceptions of one provision.
pub const EXCEPTIONS_MAX: usize = 8;
/// Guardians of one patient.
pub const GUARDIANS_MAX: usize = 8;
/// Records that one version is derived from.
pub const DERIVED_FROM_MAX: usize = 8;
/// Records of one batch of registrations.
pub const RECORDS_PER_BATCH_MAX: usize = 100;
/// Relying parties whose WebAuthn assertions count.
pub const RELYING_PARTIES_MAX: usize = 16;
/// Bytes of a relying party's id, a domain name.
pub const RELYING_PARTY_BYTES_MAX: usize = 253;
/// Bytes of a WebAuthn assertion's client data.
pub const CLIENT_DATA_BYTES_MAX: usize = 2048;
/// Bytes of a WebAuthn assertion's authenticator data.
pub const AUTHENTICATOR_DATA_BYTES_MAX: usize = 1024;
/// Actors that one preview of a draft decides for, and records.
pub const PREVIEWED_MAX: usize = 20;
/// Practitioners that one page of a query decides for.
pub const HOLDERS_PER_PAGE_MAX: u32 = 100;
/// Practitioners up to which the query for everybody who can see a record answers in one piece.
pub const HOLDERS_WHOLE_MAX: usize = 1_000;
/// Fewest members of a consortium.
pub const MEMBERS_MIN: usize = 2;
/// Members of the consortium.
pub const MEMBERS_MAX: usize = 64;
/// Rules of a policy, one a role.
pub const RULES_MAX: usize = 16;
/// Bytes of an MSP id.
pub const MSP_ID_BYTES_MAX: usize = 64;
/// Bytes of a channel or chaincode name.
pub const NAME_BYTES_MAX: usize = 249;
/// Bytes of a daemon's URL.
pub const URL_BYTES_MAX: usize = 256;
/// Versions of one record.
pub const RECORD_VERSIONS_MAX: u64 = 9_999_999_999;
/// Entries of one page of a query.
pub const PAGE_ENTRIES_MAX: u32 = 500;
/// Entries of a page when the caller names no size.
pub const PAGE_ENTRIES_DEFAULT: u32 = 100;
/// Bytes of a bookmark.
pub const BOOKMARK_BYTES_MAX: usize = 1024;
/// Bytes of one plain document, 64 MiB.
pub const DOCUMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of one sealed document: the largest plain one, padded, with header and tags.
pub const SEALED_BYTES_MAX: u64 = 72 * 1024 * 1024;
