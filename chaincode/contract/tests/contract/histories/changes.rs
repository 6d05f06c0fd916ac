//! What changes the facts of a history: drawn from few of everything, so that it meets what is asked for.

use caretrail_model::calls::*;
use caretrail_model::consent::{
    Action, Effect, Exception, Grantee, LiveConsent, LiveConsents, Provision, Scope,
};
use caretrail_model::ids::{Actor, Digest, MspId, Nonce, RecordId, StatementId, Subject, Tag};
use caretrail_model::policy::{ConsortiumPolicy, Durations, RoleRule, Terms};
use caretrail_model::purpose::Purpose;
use caretrail_model::record::Record;
use caretrail_model::role::Role;
use caretrail_model::statement::{
    EmergencyChoice, Ending, Grant, GuardianEnd, GuardianTerm, Operation, PublicKey, SignedStatement, Stop,
};
use caretrail_model::tag::{RecordTags, TagSet};
use caretrail_model::time::{DurationMs, Period, UnixMs};
use p256::ecdsa::SigningKey;

use super::facts::{self, Facts};
use super::history::History;
use crate::oracle::cases::TWO;
use crate::world::{Staff, commitments, policy, random, registering, wide_policy};

/// 1 April 2026, when a guardian's term can end.
const QUARTER: i64 = 1_775_001_600_000;
/// 1 July 2026.
const NEXT_QUARTER: i64 = 1_782_864_000_000;
/// Records of a history at most.
const RECORDS_MAX: usize = 8;

impl History {
    /// Two hospitals, a patient of each and their records, most often shortly before a guardian's term ends.
    pub(super) async fn begin(&mut self) {
        let ahead = if self.draw.chance(60) { 20_000 + self.draw.below(150_000) } else { 40 * 86_400_000 };
        self.world.pass(QUARTER - i64::try_from(ahead).unwrap() - self.world.peer.clock_unix_ms());
        let policy = self.policy_of(1);
        self.world.put_in_force(&policy).await;
        for actor in self.cast.practitioners() {
            let purposes = [Purpose::Treat, Purpose::Btg, Purpose::Hresch];
            let call = AuthorizePractitioner {
                subject: actor.subject,
                role: Role::Clinician,
                purposes: purposes.to_vec(),
                until: self.in_s(60, 600),
            };
            self.world.done(&self.cast.clone().admin(actor.msp_id.as_str()).clone(), &call).await;
        }
        for (of, home) in ["NorthMSP", "SouthMSP"].into_iter().enumerate() {
            let person = self.world.patient(home).await;
            let author = self.cast.practitioners().into_iter().find(|actor| actor.msp_id.as_str() == home);
            let author = self.cast.staff(&author.unwrap(), Role::Clinician);
            for _ in 0..2 {
                let call =
                    RegisterRecord { tags: self.tags_of_record(home), ..registering(&author, &person) };
                self.records.push((self.world.done(&author, &call).await.record, of));
            }
            self.patients.push(person);
        }
    }

    /// Changes something.
    pub(super) async fn change(&mut self) {
        match self.draw.below(68) {
            0..21 => self.grant().await,
            21..25 => self.end_consent().await,
            25..29 => self.pass_on().await,
            29 => self.end_what_was_passed_on().await,
            30..33 => self.stop().await,
            33..35 => self.refuse_emergency().await,
            35..37 => self.suspend().await,
            37..42 => self.authorize().await,
            42..45 => self.add_guardian().await,
            45..47 => self.end_guardian().await,
            47..51 => self.open_relationship().await,
            51..53 => self.close_relationship().await,
            53..57 => self.break_glass().await,
            57..60 => self.review_glass().await,
            60..63 => self.amend().await,
            63 => self.withdraw_or_register().await,
            64..66 => self.move_custody().await,
            _ => self.change_policy().await,
        }
    }

    async fn grant(&mut self) {
        let of = self.patient();
        let effect = if self.draw.chance(78) { Effect::Permit } else { Effect::Deny };
        let provision = self.provision(effect);
        let supersedes = match self.draw.chance(15) {
            true => self.live_consent(of).map(|consent| consent.id),
            false => None,
        };
        let by_guardian = if self.facts(of).guardians.guardians.is_empty() { 3 } else { 35 };
        let signed = self.signed(of, Operation::GrantConsent(Grant { provision, supersedes }), by_guardian);
        let carrier = self.carrier();
        self.act(&carrier, &GrantConsent { signed }).await;
    }

    async fn end_consent(&mut self) {
        let of = self.patient();
        let Some(consent) = self.live_consent(of) else { return };
        let signed = self.signed(of, Operation::EndConsent(Ending { consent: consent.id }), 25);
        let carrier = self.carrier();
        self.act(&carrier, &EndConsent { signed }).await;
    }

    async fn pass_on(&mut self) {
        let of = self.patient();
        let patient = self.patients[of].id;
        let may_be = |consent: &&LiveConsent| consent.provision.actions.contains(&Action::Delegate);
        let parents: Vec<(LiveConsent, Actor)> = self
            .live_consents(of)
            .iter()
            .filter(may_be)
            .filter_map(|consent| Some((consent.clone(), self.named_person(&consent.provision.grantee)?)))
            .collect();
        if parents.is_empty() {
            return;
        }
        let (parent, by) = self.draw.one_of(&parents);
        let nonce = Nonce::from_bytes(random());
        let mut provision = Provision { grantee: self.grantee(), exceptions: vec![], ..parent.provision };
        provision.actions.retain(|action| *action != Action::Delegate);
        if provision.actions.is_empty() {
            provision.actions = vec![Action::Read];
        }
        let id = StatementId::derive_for(&by, &patient, &nonce);
        let call = DelegateConsent { patient, parent: parent.id, id, nonce, provision };
        let staff = self.cast.staff(&by, Role::Clinician);
        self.act(&staff, &call).await;
    }

    async fn end_what_was_passed_on(&mut self) {
        let of = self.patient();
        let passed_on: Vec<_> = self
            .live_consents(of)
            .into_iter()
            .filter_map(|consent| Some((consent.id, consent.delegated?.by)))
            .collect();
        if passed_on.is_empty() {
            return;
        }
        let (consent, by) = self.draw.one_of(&passed_on);
        let staff = self.cast.staff(&by, Role::Clinician);
        self.act(&staff, &EndDelegation { patient: self.patients[of].id, consent }).await;
    }

    async fn stop(&mut self) {
        // A stop that stands is lifted soon: while it does, little else decides.
        let stands = (0..self.patients.len()).find(|of| self.facts(*of).is_stopped());
        let (of, stopped) = match stands {
            Some(of) => (of, self.draw.chance(15)),
            None => (self.patient(), true),
        };
        let signed = self.signed(of, Operation::StopAll(Stop { stopped }), 20);
        let carrier = self.carrier();
        self.act(&carrier, &StopAll { signed }).await;
    }

    async fn refuse_emergency(&mut self) {
        let of = self.patient();
        let refused = !self.facts(of).patient.refuses_emergency;
        let signed = self.signed(of, Operation::RefuseEmergency(EmergencyChoice { refused }), 0);
        let carrier = self.carrier();
        self.act(&carrier, &RefuseEmergency { signed }).await;
    }

    async fn suspend(&mut self) {
        let Actor { msp_id, subject } = self.practitioner();
        let admin = self.cast.admin(msp_id.as_str()).clone();
        self.act(&admin, &SuspendPractitioner { subject }).await;
    }

    async fn authorize(&mut self) {
        let Actor { msp_id, subject } = self.practitioner();
        let call = AuthorizePractitioner {
            subject,
            role: if self.draw.chance(93) { Role::Clinician } else { Role::Service },
            purposes: self.draw.some_of(&[Purpose::Treat, Purpose::Btg, Purpose::Hresch], 75),
            until: self.in_s(20, 600),
        };
        let admin = self.cast.admin(msp_id.as_str()).clone();
        self.act(&admin, &call).await;
    }

    async fn add_guardian(&mut self) {
        let of = self.patient();
        let key = self.guardian();
        let now = self.world.peer.clock_unix_ms();
        let soon = now < QUARTER && self.draw.chance(70);
        let until = crate::world::at(if soon { QUARTER } else { NEXT_QUARTER });
        let term = GuardianTerm {
            public_key: public(&key),
            term: Period { from: self.around_now(10), until },
            protected: if self.draw.chance(40) { self.tag_sets() } else { vec![] },
        };
        let signed = self.signed(of, Operation::AddGuardian(term), 0);
        let carrier = self.carrier();
        self.act(&carrier, &AddGuardian { signed }).await;
    }

    async fn end_guardian(&mut self) {
        let of = self.patient();
        let guardian = public(&self.guardian_of(of)).id();
        let signed = self.signed(of, Operation::EndGuardian(GuardianEnd { guardian }), 20);
        let carrier = self.carrier();
        self.act(&carrier, &EndGuardian { signed }).await;
    }

    async fn open_relationship(&mut self) {
        let (msp_id, subject) = self.treating();
        let patient = self.patient();
        let call =
            OpenRelationship { patient: self.patients[patient].id, subject, until: self.in_s(10, 120) };
        let service = self.cast.service(msp_id.as_str()).clone();
        self.act(&service, &call).await;
    }

    async fn close_relationship(&mut self) {
        let of = self.patient();
        let patient = self.patients[of].id;
        let now = self.world.now();
        let everybody = self.cast.practitioners();
        let open: Vec<(MspId, Option<Subject>)> = everybody
            .iter()
            .flat_map(|actor| [(actor, Some(actor.subject)), (actor, None)])
            .filter(|(actor, subject)| {
                let facts = Facts::of(&self.world.peer, actor, &patient);
                facts.relationship(subject.is_some()).is_some_and(|open| open.until > now)
            })
            .map(|(actor, subject)| (actor.msp_id.clone(), subject))
            .collect();
        if open.is_empty() {
            return;
        }
        let (msp_id, subject) = self.draw.one_of(&open);
        let service = self.cast.service(msp_id.as_str()).clone();
        self.act(&service, &CloseRelationship { patient, subject }).await;
    }

    async fn break_glass(&mut self) {
        let actor = self.practitioner();
        let patient = self.patient();
        let staff = self.cast.staff(&actor, Role::Clinician);
        let reason_digest = Digest::from_bytes([1; 32]);
        self.act(&staff, &BreakGlass { patient: self.patients[patient].id, reason_digest }).await;
    }

    async fn review_glass(&mut self) {
        let of = self.patient();
        let patient = self.patients[of].id;
        let broken: Vec<Actor> = self
            .cast
            .practitioners()
            .into_iter()
            .filter(|actor| {
                let broken = Facts::of(&self.world.peer, actor, &patient).break_glass;
                broken.is_some_and(|broken| broken.review.is_none())
            })
            .collect();
        if broken.is_empty() {
            return;
        }
        let clinician = self.draw.one_of(&broken);
        let another = if clinician.msp_id.as_str() == "NorthMSP" { "SouthMSP" } else { "NorthMSP" };
        let call = ReviewBreakGlass {
            patient,
            clinician,
            justified: self.draw.chance(40),
            finding_digest: Digest::from_bytes([2; 32]),
        };
        let auditor = self.cast.auditor(another).clone();
        self.act(&auditor, &call).await;
    }

    async fn amend(&mut self) {
        let (id, of) = self.draw.one_of(&self.records.clone());
        let Some(record) = facts::record(&self.world.peer, &id) else { return };
        let tags = match self.draw.chance(50) {
            true => self.tags_of_record(record.custodian.as_str()),
            false => None,
        };
        let call = AmendRecord {
            patient: self.patients[of].id,
            record: id,
            version: record.version + 1,
            commitments: commitments(),
            tags,
            derived_from: vec![],
        };
        let staff = self.clinician_of(&record.custodian);
        self.act(&staff, &call).await;
    }

    async fn withdraw_or_register(&mut self) {
        if self.records.len() < RECORDS_MAX && self.draw.chance(50) {
            let of = self.patient();
            let home = self.patients[of].home;
            let staff = self.clinician_of(&home.parse().unwrap());
            let tags = self.tags_of_record(home);
            let call = RegisterRecord { tags, ..registering(&staff, &self.patients[of]) };
            self.records.push((call.record, of));
            self.act(&staff, &call).await;
        } else {
            let (record, of) = self.draw.one_of(&self.records.clone());
            let Some(Record { custodian, .. }) = facts::record(&self.world.peer, &record) else { return };
            let staff = self.clinician_of(&custodian);
            self.act(&staff, &WithdrawRecord { patient: self.patients[of].id, record }).await;
        }
    }

    async fn move_custody(&mut self) {
        let offered = self.records.iter().find(|(id, _)| {
            let record = facts::record(&self.world.peer, id);
            record.is_some_and(|record| record.offered_to.is_some())
        });
        let offered = offered.copied();
        let (id, of) = offered.unwrap_or_else(|| self.draw.one_of(&self.records.clone()));
        let Some(record) = facts::record(&self.world.peer, &id) else { return };
        let patient = self.patients[of].id;
        if let Some(to) = record.offered_to {
            let tags = self.tags_of_record(to.as_str());
            let service = self.cast.service(to.as_str()).clone();
            self.act(&service, &AcceptCustody { patient, record: id, tags }).await;
        } else {
            let to = self.cast.hospitals().into_iter().find(|hospital| *hospital != record.custodian);
            let service = self.cast.service(record.custodian.as_str()).clone();
            self.act(&service, &TransferCustody { patient, record: id, to }).await;
        }
    }

    /// The next policy, approved by both.
    async fn change_policy(&mut self) {
        let before = self.facts(0).policy.policy;
        let policy = self.policy_of(before.sequence + 1);
        let text = serde_json::to_string(&policy).unwrap();
        let digest = ConsortiumPolicy::digest_of_text(&text);
        let cast = self.cast.clone();
        self.act(cast.admin("NorthMSP"), &ProposePolicy { policy: text }).await;
        for hospital in ["NorthMSP", "SouthMSP"] {
            self.act(cast.admin(hospital), &ApprovePolicy { digest }).await;
        }
    }

    fn policy_of(&mut self, sequence: u64) -> ConsortiumPolicy {
        let needs_relationship = self.draw.chance(15);
        let wide = wide_policy();
        let clinicians = RoleRule { needs_relationship, ..wide.rules[0].clone() };
        let services = RoleRule {
            role: Role::Service,
            actions: vec![Action::Read],
            purposes: vec![Purpose::Treat],
            needs_relationship: false,
        };
        ConsortiumPolicy {
            sequence,
            rules: vec![clinicians, services],
            durations: Durations { permit_ms: DurationMs::from_secs(40), ..policy().durations },
            terms: wide.terms.map(|terms| Terms { break_glass_ms: DurationMs::from_secs(45), ..terms }),
            ..wide
        }
    }

    fn provision(&mut self, effect: Effect) -> Provision {
        let exceptions = match self.draw.below(10) {
            0..2 => 1,
            2 => 2,
            _ => 0,
        };
        Provision {
            effect,
            grantee: self.grantee(),
            actions: self.actions(),
            purposes: self.purposes(),
            scope: self.scope(),
            period: self.period(),
            exceptions: (0..exceptions).map(|_| self.exception()).collect(),
        }
    }

    fn exception(&mut self) -> Exception {
        let exception = Exception {
            grantee: self.draw.chance(50).then(|| self.grantee()),
            actions: if self.draw.chance(40) { self.actions() } else { vec![] },
            purposes: if self.draw.chance(40) { self.purposes() } else { vec![] },
            scope: self.draw.chance(50).then(|| self.scope()),
            period: self.draw.chance(40).then(|| self.period()),
        };
        // One of everything is refused.
        if exception == Exception::default() {
            return Exception { period: Some(self.period()), ..exception };
        }
        exception
    }

    fn actions(&mut self) -> Vec<Action> {
        let mut actions = vec![Action::Read];
        actions.extend(self.draw.chance(20).then_some(Action::Write));
        actions.extend(self.draw.chance(50).then_some(Action::Delegate));
        actions
    }

    fn purposes(&mut self) -> Vec<Purpose> {
        self.draw.some_of(&[Purpose::Treat, Purpose::Btg, Purpose::Hresch], 70)
    }

    fn grantee(&mut self) -> Grantee {
        let Actor { msp_id, subject } = self.practitioner();
        match self.draw.below(5) {
            0 => Grantee::Hospital { msp_id },
            1 => Grantee::Role {
                msp_id,
                role: if self.draw.chance(85) { Role::Clinician } else { Role::Service },
            },
            _ => Grantee::Person { msp_id, subject },
        }
    }

    fn scope(&mut self) -> Scope {
        match self.draw.below(10) {
            0..5 => Scope::All {},
            5 => Scope::Custodian { msp_id: self.hospital() },
            6 | 7 => {
                let all: Vec<RecordId> = self.records.iter().map(|(id, _)| *id).collect();
                let mut records = self.draw.some_of(&all, 60);
                records.sort_unstable();
                Scope::Records { records }
            }
            _ => Scope::Tags { sets: self.tag_sets() },
        }
    }

    fn tag_sets(&mut self) -> Vec<TagSet> {
        let hospitals = self.draw.some_of(&self.cast.hospitals(), 75);
        let mut set = |custodian| TagSet {
            custodian,
            epoch: if self.draw.chance(85) { 1 } else { 2 },
            tags: self.draw.some_of(&[1, 2, 3], 40).into_iter().map(tag).collect(),
        };
        hospitals.into_iter().map(&mut set).collect()
    }

    /// A few that scopes name, and others to make eight of them; or none at all.
    fn tags_of_record(&mut self, custodian: &str) -> Option<RecordTags> {
        if self.draw.chance(25) {
            return None;
        }
        let named = self.draw.some_of(&[1, 2, 3], 40);
        Some(RecordTags {
            custodian: custodian.parse().unwrap(),
            epoch: if self.draw.chance(85) { 1 } else { 2 },
            tags: named.into_iter().chain(11..).take(8).map(tag).collect(),
        })
    }

    fn period(&mut self) -> Period {
        let from = self.around_now(15);
        Period { from, until: from.plus(DurationMs::from_secs(20 + self.below(150))) }
    }

    /// Some seconds before or after now.
    fn around_now(&mut self, secs: u32) -> UnixMs {
        let before = i64::from(secs) * 3_000;
        let ms = i64::from(self.below(secs * 4_000)) - before;
        crate::world::at(self.world.peer.clock_unix_ms() + ms)
    }

    fn in_s(&mut self, least: u32, most: u32) -> UnixMs {
        let secs = least + self.below(most - least);
        self.world.now().plus(DurationMs::from_secs(secs))
    }

    fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.draw.below(bound.into())).unwrap()
    }

    /// Signed by the patient, or in so many of a hundred by a guardian.
    fn signed(&mut self, of: usize, operation: Operation, guardian: u64) -> SignedStatement {
        if self.draw.chance(guardian) {
            let key = self.guardian_of(of);
            return self.world.signed_by(&key, self.patients[of].id, operation);
        }
        self.world.signed(&self.patients[of], operation)
    }

    fn guardian(&mut self) -> SigningKey {
        self.draw.one_of(&self.guardians)
    }

    /// One that was appointed, if there is one.
    fn guardian_of(&mut self, of: usize) -> SigningKey {
        let guardians = self.facts(of).guardians.guardians;
        let appointed = self
            .guardians
            .iter()
            .filter(|key| guardians.iter().any(|guardian| guardian.public_key == public(key)));
        let appointed: Vec<SigningKey> = appointed.cloned().collect();
        if appointed.is_empty() { self.guardian() } else { self.draw.one_of(&appointed) }
    }

    pub(super) fn patient(&mut self) -> usize {
        usize::from(self.draw.chance(25))
    }

    fn hospital(&mut self) -> MspId {
        self.draw.one_of(&self.cast.hospitals())
    }

    /// Most often the same one, or one who waits for a decision, so that what is drawn meets.
    pub(super) fn practitioner(&mut self) -> Actor {
        let practitioners = self.cast.practitioners();
        if self.draw.chance(35)
            && let Some(actor) = self.who_waits()
        {
            return actor;
        }
        if self.draw.chance(40) { practitioners[2].clone() } else { self.draw.one_of(&practitioners) }
    }

    fn carrier(&mut self) -> Staff {
        let hospital = self.hospital();
        self.cast.service(hospital.as_str()).clone()
    }

    fn clinician_of(&mut self, hospital: &MspId) -> Staff {
        let subject = Subject::from_bytes([self.draw.one_of(&TWO); 16]);
        self.cast.staff(&Actor { msp_id: hospital.clone(), subject }, Role::Clinician)
    }

    fn treating(&mut self) -> (MspId, Option<Subject>) {
        let Actor { msp_id, subject } = self.practitioner();
        (msp_id, Some(subject).filter(|_| self.draw.chance(60)))
    }

    fn named_person(&self, grantee: &Grantee) -> Option<Actor> {
        self.cast.practitioners().into_iter().find(|actor| {
            matches!(grantee, Grantee::Person { msp_id, subject }
                if *msp_id == actor.msp_id && *subject == actor.subject)
        })
    }

    fn live_consents(&self, of: usize) -> Vec<LiveConsent> {
        let LiveConsents { consents, .. } = self.facts(of).consents;
        consents
    }

    fn live_consent(&mut self, of: usize) -> Option<LiveConsent> {
        let consents = self.live_consents(of);
        (!consents.is_empty()).then(|| self.draw.one_of(&consents))
    }

    /// Of a patient and whoever it is who asks.
    fn facts(&self, of: usize) -> Facts {
        Facts::of(&self.world.peer, &self.cast.practitioners()[0], &self.patients[of].id)
    }
}

fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from(*key.verifying_key())
}

fn tag(byte: u8) -> Tag {
    Tag::from_bytes([byte; 16])
}
