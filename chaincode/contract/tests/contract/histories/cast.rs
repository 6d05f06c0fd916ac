//! Who takes part: the same staff of two hospitals in every history, so that the second reading can list them.

use caretrail_model::ids::{Actor, MspId, Subject};
use caretrail_model::role::Role;

use crate::oracle::cases::{HOSPITALS, TWO};
use crate::world::{Staff, admin, staff, staff_of};

/// The staff of both hospitals.
pub(crate) struct Cast {
    /// Who asks for access.
    pub(crate) asking: Vec<Asking>,
    desks: Vec<Desk>,
}

/// Staff that ask, with the role in the certificate.
#[derive(Clone)]
pub(crate) struct Asking {
    pub(crate) actor: Actor,
    pub(crate) role: Role,
    staff: Staff,
}

/// Who acts for a hospital.
struct Desk {
    admin: Staff,
    service: Staff,
    auditor: Staff,
}

impl Cast {
    pub(crate) fn new() -> Self {
        let mut asking = Vec::new();
        for hospital in HOSPITALS {
            for subject in TWO {
                asking.push(Asking::new(hospital, subject, Role::Clinician));
            }
        }
        // One of them has a certificate for another role besides.
        asking.push(Asking::new(HOSPITALS[1], TWO[0], Role::Service));
        let desk = |hospital| Desk {
            admin: admin(hospital),
            service: staff(hospital, Role::Service),
            auditor: staff(hospital, Role::Auditor),
        };
        Self { asking, desks: HOSPITALS.into_iter().map(desk).collect() }
    }

    /// The certificate of an actor in a role.
    pub(crate) fn staff(&self, actor: &Actor, role: Role) -> Staff {
        let found = self.asking.iter().find(|asking| asking.actor == *actor && asking.role == role);
        found.unwrap().staff.clone()
    }

    /// Everybody who treats, ascending.
    pub(crate) fn practitioners(&self) -> Vec<Actor> {
        let clinicians = self.asking.iter().filter(|asking| asking.role == Role::Clinician);
        clinicians.map(|asking| asking.actor.clone()).collect()
    }

    pub(crate) fn hospitals(&self) -> Vec<MspId> {
        HOSPITALS.into_iter().map(|hospital| hospital.parse().unwrap()).collect()
    }

    pub(crate) fn admin(&self, hospital: &str) -> &Staff {
        &self.desk(hospital).admin
    }

    pub(crate) fn service(&self, hospital: &str) -> &Staff {
        &self.desk(hospital).service
    }

    pub(crate) fn auditor(&self, hospital: &str) -> &Staff {
        &self.desk(hospital).auditor
    }

    fn desk(&self, hospital: &str) -> &Desk {
        &self.desks[HOSPITALS.into_iter().position(|named| named == hospital).unwrap()]
    }
}

impl Asking {
    fn new(hospital: &str, subject: u8, role: Role) -> Self {
        let staff = staff_of(hospital, role, Subject::from_bytes([subject; 16]));
        Self { actor: staff.actor.clone(), role, staff }
    }
}
