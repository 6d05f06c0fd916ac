//! A chaincode as an external service, on every kind of network that can be stood up, on real Fabric processes.
//!
//! This program is the peers' builder and the chaincode too: it looks at its first argument. Words choose tests by
//! their names, as for any test.
//! Fabric's programs are found or built as in `a_network_on_real_processes`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod authorities;
mod backups;
mod bad_days;
#[path = "../bench/mod.rs"]
mod bench;
mod bft;
mod certificates;
mod definitions;
mod doctor;
mod elsewhere;
mod exports;
mod growth;
mod hosts;
mod life;
mod parts;
mod shelf;
mod sizes;
mod upgrades;

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Instant;

use hlf_network::builder;

use bench::told;

type Test = fn() -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! tests {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$((stringify!($name), || Box::pin($module::$name()))),*]
    };
}

/// One after the other: each stands up a network of its own.
const TESTS: &[(&str, Test)] = tests![
    life::a_chaincode_is_deployed_used_and_upgraded,
    life::up_is_killed_at_every_event_and_goes_on,
    definitions::a_definition_on_fabric_3_is_what_the_spec_says,
    definitions::a_definition_on_fabric_2_5_is_what_the_spec_says,
    sizes::five_organizations_of_two_peers_use_a_chaincode,
    bft::older_programs_are_refused_bft_ordering,
    bft::four_consenters_replace_a_dead_leader,
    growth::a_running_network_grows_and_shrinks,
    growth::a_bft_consenter_is_replaced_under_load,
    growth::an_ordering_node_that_lost_its_ledger_gives_way,
    growth::an_apply_that_cannot_succeed_is_given_up,
    certificates::certificates_are_renewed_and_revoked,
    authorities::an_organization_takes_part_with_certificates_of_fabric_ca,
    backups::a_backup_is_restored_onto_an_empty_machine,
    upgrades::a_network_is_upgraded_node_by_node,
    doctor::known_failures_are_found_and_nothing_else_is,
    exports::exported_units_run_the_network_and_manifests_are_taken,
    exports::what_cannot_be_exported_is_named,
    parts::organizations_stand_up_their_own_parts_and_exchange_files_alone,
    parts::a_part_joins_though_no_first_ordering_node_is_left,
];

/// Run when they are asked for by name: `make test-long`.
const LONG_TESTS: &[(&str, Test)] = tests![
    growth::an_organization_that_left_comes_back,
    growth::an_apply_is_killed_and_goes_on,
    growth::a_bft_node_that_lost_its_folder_gives_way,
    certificates::certificates_of_bft_consenters_are_renewed,
    certificates::a_rolling_renewal_under_load_fails_no_transaction,
    authorities::authorities_are_renewed_beside_the_old_ones,
    authorities::authorities_of_bft_orderers_and_of_fabric_ca_are_renewed,
    upgrades::a_network_is_upgraded_under_load,
    bad_days::full_disks_lose_nothing,
    exports::systemd_takes_exported_units,
    hosts::hosts_lose_links_and_no_transaction,
    parts::parts_of_bft_are_killed_at_every_event_and_go_on,
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["builder", phase, "--config", config, folders @ ..] => {
            let folders: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
            let phase = phase.parse().expect("a phase");
            if let Err(error) = builder::run(phase, config.as_ref(), &folders) {
                eprintln!("{}", told(&error));
                std::process::exit(1);
            }
        }
        ["chaincode"] => runtime().block_on(shelf::serve()),
        ["apply", folder] => runtime().block_on(growth::apply_aloud(folder.as_ref())),
        ["full-disks"] => runtime().block_on(bad_days::fill_disks()),
        ["part", folder, organization] => {
            runtime().block_on(parts::stand_up_aloud(folder.as_ref(), organization));
        }
        ["host", folder, action, arguments @ ..] => {
            runtime().block_on(hosts::act(folder.as_ref(), action, arguments));
        }
        ["up", folder] => runtime().block_on(life::stand_up_aloud(folder.as_ref())),
        words if words.contains(&"--list") => {
            for (name, _) in TESTS.iter().chain(LONG_TESTS) {
                println!("{name}: test");
            }
        }
        words => {
            let filters: Vec<&&str> = words.iter().filter(|word| !word.starts_with('-')).collect();
            let asked_for = |name: &str| filters.iter().any(|filter| name.contains(**filter));
            let usual = TESTS.iter().filter(|(name, _)| filters.is_empty() || asked_for(name));
            for (name, test) in usual.chain(LONG_TESTS.iter().filter(|(name, _)| asked_for(name))) {
                let begun = Instant::now();
                runtime().block_on(test());
                println!("test {name} ... ok ({:.1} s)", begun.elapsed().as_secs_f32());
            }
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("a runtime")
}
