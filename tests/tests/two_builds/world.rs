//! The two hospitals, and the programs that serve their peers.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::ExitCode;

use caretrail_contract_older::{Admission, contract};
use caretrail_model::calls::AccessDecision;
use caretrail_model::consent::Action;
use caretrail_model::ids::{RecordId, StatementId};
use caretrail_model::policy::{ConsortiumPolicy, RoleRule};
use caretrail_model::purpose::Purpose;
use caretrail_model::role::Role;
use caretrail_model::time::DurationMs;
use caretrail_tests::actors::{Actors, Person};
use caretrail_tests::hospitals::Hospitals;
use caretrail_tests::stage::Stage;
use caretrail_tests::telling::World;
use hlf_chaincode::{Config, Service, stop_signal};
use hlf_network::network::ChaincodeProgram;
use tokio::runtime::Runtime;

const OLDER_PART: &str = "older-contract";
/// Names a program of South's that is older.
const OLDER_CONTRACT: &str = "OLDER_CONTRACT";

/// The channel, and what is known of it by now.
pub(crate) struct Age {
    actors: Actors,
    /// The policy of the first engine.
    pub(crate) first: ConsortiumPolicy,
    pub(crate) told: Option<Told>,
}

/// What the calls of the first engine left behind.
pub(crate) struct Told {
    pub(crate) patient: Person,
    pub(crate) record: RecordId,
    pub(crate) consent: StatementId,
    pub(crate) permit: AccessDecision,
}

/// Plays the part that a network started this program for; `None` when nobody did, so that it tests.
pub(crate) fn play() -> Option<ExitCode> {
    if std::env::args().nth(1).as_deref() != Some(OLDER_PART) {
        return None;
    }
    Runtime::new().unwrap().block_on(async {
        tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
        let contract = contract(Admission::system(DurationMs::from_secs(120))).unwrap();
        let service = Service::new(Config::from_env().unwrap(), contract).bind().await.unwrap();
        service.serve(stop_signal()).await.unwrap();
    });
    Some(ExitCode::SUCCESS)
}

/// South's program that has the first engine alone.
fn older() -> BTreeMap<String, ChaincodeProgram> {
    let (program, args) = match std::env::var_os(OLDER_CONTRACT) {
        Some(program) => (PathBuf::from(program), Vec::new()),
        None => (std::env::current_exe().unwrap(), vec![OLDER_PART.into()]),
    };
    BTreeMap::from([("south".to_owned(), ChaincodeProgram { program, args, env: BTreeMap::new() })])
}

impl World for Age {
    async fn stand_up(stage: &Stage) -> Self {
        let hospitals = Hospitals::stand_up_with(stage.folder(), older()).await;
        for name in ["north/ada", "south/ben"] {
            hospitals.clinician(name).await;
        }
        let draft = hospitals.caretrail.run("policy draft").await;
        let drafted: ConsortiumPolicy = serde_json::from_str(draft.text()).unwrap();
        let rules = vec![RoleRule {
            role: Role::Clinician,
            actions: vec![Action::Read, Action::Write],
            purposes: vec![Purpose::Treat],
            needs_relationship: false,
        }];
        let first = ConsortiumPolicy { epoch: 1, terms: None, rules, ..drafted };
        let identities = [
            "north/admin",
            "north/service",
            "north/auditor",
            "north/ada",
            "south/admin",
            "south/service",
            "south/auditor",
            "south/ben",
        ];
        Self { actors: Actors::of(hospitals, &identities).await, first, told: None }
    }
}

impl Deref for Age {
    type Target = Actors;

    fn deref(&self) -> &Actors {
        &self.actors
    }
}

impl DerefMut for Age {
    fn deref_mut(&mut self) -> &mut Actors {
        &mut self.actors
    }
}

impl Age {
    /// Has South run the program of today, as North does.
    pub(crate) async fn upgrade_south(&self) {
        self.hospitals.run_chaincode(BTreeMap::new()).await;
    }

    /// Has South run the older program again.
    pub(crate) async fn downgrade_south(&self) {
        self.hospitals.run_chaincode(older()).await;
    }

    /// The policy that switches to the engine of today.
    pub(crate) fn second(&self) -> ConsortiumPolicy {
        let terms = caretrail_model::policy::Terms::WIDEST;
        ConsortiumPolicy { sequence: 2, epoch: 2, terms: Some(terms), ..self.first.clone() }
    }
}
