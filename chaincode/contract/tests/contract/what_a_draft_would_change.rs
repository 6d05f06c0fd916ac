//! A draft is shown by what would be decided otherwise, before anybody signs it.

use caretrail_model::calls::*;
use caretrail_model::code::Code;
use caretrail_model::consent::{Action, Effect, Provision};
use caretrail_model::decision::Rule;
use caretrail_model::ids::StatementId;
use caretrail_model::purpose::Purpose;
use caretrail_model::statement::Grant;
use caretrail_model::time::{DurationMs, UnixMs};

use crate::world::Ward;

impl Ward {
    /// A preview for the reader and the author, of nothing yet.
    pub(crate) fn previewing(&self) -> PreviewConsent {
        PreviewConsent {
            patient: self.patient.id,
            draft: None,
            ends: None,
            signer: None,
            at: None,
            actors: vec![self.reader.actor.clone(), self.author.actor.clone()],
            records: vec![self.record],
        }
    }

    /// A preview of a permit for the reader, adjusted.
    pub(crate) fn drafting(&self, adjust: impl FnOnce(&mut Provision)) -> PreviewConsent {
        let draft = Grant { provision: self.provision(adjust), supersedes: None };
        PreviewConsent { draft: Some(draft), ..self.previewing() }
    }

    pub(crate) async fn changes(&self, call: &PreviewConsent) -> Vec<PreviewedChange> {
        self.world.seen(&self.north, call).await.changes
    }
}

fn superseding(mut call: PreviewConsent, consent: StatementId) -> PreviewConsent {
    call.draft.as_mut().unwrap().supersedes = Some(consent);
    call
}

fn rules(change: &PreviewedChange) -> (Rule, Rule) {
    (change.before.rule, change.after.rule)
}

#[tokio::test]
async fn a_draft_is_previewed_before_it_is_signed() {
    let ward = Ward::open().await;
    let denial = ward.grant(|p| p.effect = Effect::Deny).await;
    let draft = ward.drafting(|_| {});
    assert!(ward.changes(&draft).await.is_empty(), "the denial still beats it");
    let changes = ward.changes(&superseding(draft.clone(), denial)).await;
    let [change] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!(
        (&change.actor, change.action, change.purpose),
        (&ward.reader.actor, Action::Read, Purpose::Treat)
    );
    assert_eq!(rules(change), (Rule::ConsentDenies, Rule::ConsentPermits));
    assert_eq!(ward.rule().await, Rule::NothingPermits, "nothing was changed");
    assert_eq!(ward.world.refused(&ward.south, &draft).await, Code::HospitalNotAllowed);
}

#[tokio::test]
async fn a_draft_about_writing_and_passing_on_is_shown_by_action() {
    let ward = Ward::open().await;
    for action in [Action::Write, Action::Delegate] {
        let changes = ward.changes(&ward.drafting(|p| p.actions = vec![action])).await;
        let [change] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!((change.action, rules(change)), (action, (Rule::NothingPermits, Rule::ConsentPermits)));
    }
    ward.grant(|p| p.actions = Action::ALL.to_vec()).await;
    let denial = ward.drafting(|p| (p.effect, p.actions) = (Effect::Deny, vec![Action::Write]));
    let changes = ward.changes(&denial).await;
    let [change] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((change.action, rules(change)), (Action::Write, (Rule::ConsentPermits, Rule::ConsentDenies)));
}

/// Neither the permit of one request nor a standing hides how long a consent holds.
#[tokio::test]
async fn a_draft_that_only_lasts_longer_is_shown_with_both_ends() {
    let ward = Ward::open().await;
    let now = ward.world.now();
    let (soon, late) = (now.plus(DurationMs::from_days(310)), now.plus(DurationMs::from_days(360)));
    let live = ward.grant(|p| p.period.until = soon).await;
    for shorter in [now.plus(DurationMs::from_days(1)), soon] {
        let draft = ward.drafting(|p| p.period.until = shorter);
        assert!(ward.changes(&draft).await.is_empty(), "the longer permit counts");
    }
    let changes = ward.changes(&ward.drafting(|p| p.period.until = late)).await;
    let [change] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!(rules(change), (Rule::ConsentPermits, Rule::ConsentPermits));
    assert_eq!((change.before.valid_until, change.after.valid_until), (Some(soon), Some(late)));

    let earlier = now.plus(DurationMs::from_days(2));
    let draft = superseding(ward.drafting(|p| p.period.until = earlier), live);
    let changes = ward.changes(&draft).await;
    let [change] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((change.before.valid_until, change.after.valid_until), (Some(soon), Some(earlier)));
}

#[tokio::test]
async fn a_draft_that_begins_later_is_shown_at_its_time() {
    let ward = Ward::open().await;
    let begins = ward.world.now().plus(DurationMs::from_days(7));
    let draft = ward.drafting(|p| {
        p.period.from = begins;
        p.period.until = begins.plus(DurationMs::from_days(1));
    });
    assert!(ward.changes(&draft).await.is_empty());
    let reply = ward.world.seen(&ward.north, &PreviewConsent { at: Some(begins), ..draft.clone() }).await;
    assert_eq!((reply.at, reply.changes.len()), (begins, 1));
    let past = PreviewConsent { at: Some(UnixMs::EPOCH), ..draft };
    assert_eq!(ward.world.seen(&ward.north, &past).await.at, ward.world.now());
}

#[tokio::test]
async fn an_ending_is_previewed_in_place_of_a_draft() {
    let ward = Ward::open().await;
    let permit = ward.grant(|_| {}).await;
    let ending = PreviewConsent { ends: Some(permit), ..ward.previewing() };
    let changes = ward.changes(&ending).await;
    let [change] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!(rules(change), (Rule::ConsentPermits, Rule::NothingPermits));
    assert_eq!(change.after.valid_until, None);
    assert_eq!(ward.rule().await, Rule::ConsentPermits, "nothing was changed");

    let unknown = PreviewConsent { ends: Some(StatementId::from_bytes([1; 16])), ..ward.previewing() };
    assert_eq!(ward.world.refused(&ward.north, &unknown).await, Code::ConsentUnknown);
    let both = PreviewConsent { ends: Some(permit), ..ward.drafting(|_| {}) };
    for call in [both, ward.previewing()] {
        assert_eq!(ward.world.refused(&ward.north, &call).await, Code::ArgumentOutOfBounds);
    }
}
