//! A record's whole way through a real two-hospital channel, step by step, as users go it.
//!
//! Each act builds on those before it. The network is real: Fabric's own peers and orderer, the contract as an
//! external service, both hospitals' daemons. Fabric's programs are found or built as `caretrail network up`
//! does; without them and without Go the first act fails and says what to do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod access;
mod accounting;
mod care;
mod consents;
mod consortium;
mod documents;
mod elsewhere;
mod keys;
mod protected;
mod rights;
mod snapshot;
mod wire;
mod world;

use std::process::ExitCode;

use caretrail_tests::acts;
use caretrail_tests::telling::{Order, tell};

use world::Story;

fn main() -> ExitCode {
    let acts = acts![
        consortium::the_first_policy_is_in_force_once_both_admins_approved,
        consortium::each_hospital_authorises_its_own_clinicians,
        consortium::a_hospital_alone_writes_nothing,
        consortium::a_patient_is_registered_by_their_own_key_and_found_by_number,
        consortium::a_clinician_whom_nobody_authorised_is_refused,
        documents::documents_are_sealed_into_the_vault_and_committed,
        access::south_is_denied_and_the_denial_is_committed,
        access::the_daemons_are_ready_and_release_nothing_on_a_denial,
        access::the_patients_consent_is_carried_by_south_and_permits,
        access::north_releases_once_the_disclosure_is_committed,
        access::a_release_is_for_one_identity_and_one_key,
        consents::a_spoiled_consent_is_refused,
        access::the_patient_sees_who_can_see,
        access::a_revocation_denies_the_next_request_and_ends_older_permits,
        documents::a_flipped_byte_in_the_vault_is_named,
        documents::a_second_version_leaves_the_first_verifiable,
        access::a_permit_past_its_end_releases_nothing,
        accounting::the_compliance_officer_sees_every_act_in_the_order_of_the_chain,
        accounting::who_can_see_who_did_and_who_was_refused_is_one_command_each,
        accounting::nothing_that_identifies_the_patient_left_the_hospital,
        accounting::whole_blocks_are_for_admins,
        elsewhere::a_passkey_registers_and_signs_what_was_prepared,
        elsewhere::a_label_that_the_patient_excepts_stays_closed,
        elsewhere::a_rotated_label_key_closes_until_labels_and_consents_are_renewed,
        protected::a_guardians_permit_never_opens_what_the_term_protects,
        protected::one_record_is_labelled_anew_and_another_in_its_new_custodians_words,
        protected::what_is_passed_on_excepts_what_it_says,
        protected::a_permit_on_paper_excepts_and_protects_as_well,
        care::access_begins_and_ends_with_the_care,
        care::broken_glass_is_flagged_and_reviewed_elsewhere,
        rights::a_patient_adds_records_and_has_others_corrected,
        rights::a_patient_stops_everything_and_takes_single_permits_back,
        keys::a_lost_key_is_recovered_by_two_hospitals_and_time,
        keys::what_is_done_on_paper_needs_two_hospitals_until_a_key_is_bound,
        elsewhere::a_label_is_readable_nowhere,
        wire::fabrics_own_client_is_understood,
        wire::every_message_of_real_nodes_encodes_to_the_same_bytes,
        wire::every_transaction_is_signed_by_its_creator_and_both_hospitals_peers,
        wire::blocks_are_chained_by_their_hashes,
        wire::configurations_keep_their_meaning,
        snapshot::a_peer_that_joined_by_a_snapshot_replays_what_was_decided_before_it,
        consortium::everything_ends_when_it_is_told_to,
    ];
    tell::<Story>(env!("CARGO_TARGET_TMPDIR"), "the_story", Order::Story, acts)
}
