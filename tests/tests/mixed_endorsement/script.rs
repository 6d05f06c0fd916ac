//! What is done on a channel, step by step, and what both chaincodes must make of it.

use std::collections::BTreeMap;

use hlf_gateway::{Endorsed, ProposalBuilder};
use hlf_protos::prost::Message as _;
use hlf_protos::protos::{
    ChaincodeAction, ProposalResponse, ProposalResponsePayload, Response, SignedProposal, TxValidationCode,
};
use hlf_protos::rwset::TxReadWriteSet;
use memchr::memmem;
use serde_json::{Value, json};

use crate::world::{Mixed, Sent, Side};

/// Steps one after the other, each in a block of its own.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) name: &'static str,
    pub(crate) steps: Vec<Step>,
}

/// One transaction of the chaincode: its operations, and how it ends.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    operations: Value,
    /// Further arguments, after the operations.
    args: Vec<Vec<u8>>,
    transient: Vec<(&'static str, &'static [u8])>,
    /// Who endorses it, where it is not both.
    endorsers: Option<&'static [&'static str]>,
    ends: Ends,
    replies: Option<Vec<Reply>>,
}

/// How a step ends.
#[derive(Clone, Copy, Debug)]
enum Ends {
    /// Endorsed alike, ordered, and in a block with this verdict.
    Committed(TxValidationCode),
    /// Answered alike, as an evaluation is, and not ordered.
    Evaluated,
    /// Refused by both, with these words: what a failed call wrote is in no answer that is endorsed.
    Refused(&'static str),
    /// Refused by both, each in words of its own.
    RefusedInOwnWords,
    /// Answered alike, but with other writes of this chaincode, which was called and failed: the Go shim has sent
    /// them, and ours sends none of a failure.
    WithoutWritesOf(&'static str),
    /// Answered by the Go shim, and refused by ours with these words.
    RefusedByOurs(&'static str),
    /// Answered by North, and refused by South with these words: its peer lacks the data.
    OfNorthAlone(&'static str),
}

/// What a line of the reply has to be; there is a line for each operation.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Exactly this.
    Is(String),
    /// Whatever this likes.
    Like(fn(&str) -> bool),
}

impl<T: Into<String>> From<T> for Reply {
    fn from(line: T) -> Self {
        Self::Is(line.into())
    }
}

impl Step {
    fn new(operations: Value, ends: Ends) -> Self {
        Self { operations, args: Vec::new(), transient: Vec::new(), endorsers: None, ends, replies: None }
    }

    /// Commits VALID.
    pub(crate) fn submit(operations: Value) -> Self {
        Self::new(operations, Ends::Committed(TxValidationCode::Valid))
    }

    /// Is answered, and not ordered.
    pub(crate) fn evaluate(operations: Value) -> Self {
        Self::new(operations, Ends::Evaluated)
    }

    /// Is refused by both chaincodes with the same words.
    pub(crate) fn refuse(operations: Value, message: &'static str) -> Self {
        Self::new(operations, Ends::Refused(message))
    }

    /// Is refused by both chaincodes.
    pub(crate) fn refuse_in_own_words(operations: Value) -> Self {
        Self::new(operations, Ends::RefusedInOwnWords)
    }

    /// Is answered by both, and cannot be endorsed by both: a chaincode that it calls writes and fails.
    pub(crate) fn differ_in_writes_of_a_failed(callee: &'static str, operations: Value) -> Self {
        Self::new(operations, Ends::WithoutWritesOf(callee))
    }

    /// Is refused by our shim alone, which is stricter than Fabric.
    pub(crate) fn refuse_by_ours(operations: Value, message: &'static str) -> Self {
        Self::new(operations, Ends::RefusedByOurs(message))
    }

    /// Is answered where the peer holds the data, and refused with these words where it does not.
    pub(crate) fn of_north_alone(operations: Value, message: &'static str) -> Self {
        Self::new(operations, Ends::OfNorthAlone(message))
    }

    pub(crate) fn arg(mut self, arg: &[u8]) -> Self {
        self.args.push(arg.to_vec());
        self
    }

    pub(crate) fn transient(mut self, name: &'static str, value: &'static [u8]) -> Self {
        self.transient.push((name, value));
        self
    }

    /// Is ordered with the endorsements of these organisations only, and ends with this verdict.
    pub(crate) fn endorsed_by(mut self, endorsers: &'static [&'static str], code: TxValidationCode) -> Self {
        self.endorsers = Some(endorsers);
        self.ends = Ends::Committed(code);
        self
    }

    /// What the lines of the reply are.
    pub(crate) fn replies<const N: usize>(mut self, replies: [Reply; N]) -> Self {
        self.replies = Some(replies.into());
        self
    }

    fn proposal<const EDITION: usize>(&self, world: &Mixed<EDITION>) -> ProposalBuilder {
        let proposal = world.north.contract.proposal("Run").arg(self.operations.to_string());
        let proposal = proposal.args(self.args.clone());
        self.transient.iter().fold(proposal, |proposal, (name, value)| proposal.transient(*name, *value))
    }

    fn demand_replies(&self, payload: &[u8]) {
        let Some(expected) = &self.replies else { return };
        let text = std::str::from_utf8(payload).expect("a reply of text");
        let lines: Vec<_> = text.split('\n').collect();
        assert_eq!(lines.len(), expected.len(), "{text}");
        for ((line, expected), operation) in
            lines.iter().zip(expected).zip(self.operations.as_array().unwrap())
        {
            match expected {
                Reply::Is(expected) => assert_eq!(line, expected, "{operation}"),
                Reply::Like(likes) => assert!(likes(line), "{operation}: {line}"),
            }
        }
    }
}

impl Script {
    /// Does all steps.
    pub(crate) async fn told_on<const EDITION: usize>(self, world: &mut Mixed<EDITION>) {
        assert!(!self.steps.is_empty());
        for step in &self.steps {
            world.go(step).await;
        }
    }
}

impl<const EDITION: usize> Mixed<EDITION> {
    /// Does one step, and demands that it ends as it should.
    pub(crate) async fn go(&mut self, step: &Step) {
        let endorsers: Vec<String> = match step.endorsers {
            Some(endorsers) => endorsers.iter().map(|msp_id| (*msp_id).to_owned()).collect(),
            None => self.both().to_vec(),
        };
        let proposal = step.proposal(self).endorsing_organizations(endorsers.clone()).build().unwrap();
        let signed = proposal.signed().await.unwrap();
        let north = answer(&self.north, &signed).await;
        let south = answer(&self.south, &signed).await;
        let said = |answer: &ProposalResponse| answer.response.clone().unwrap_or_default();
        match step.ends {
            Ends::Committed(code) => {
                demand_same(step, &north, &south);
                step.demand_replies(&said(&north).payload);
                let endorsed = proposal.endorse().await.unwrap_or_else(|error| panic!("{error:?}"));
                let agreed = memmem::find(endorsed.message(), &north.payload);
                assert!(agreed.is_some(), "the transaction holds what both endorsed: {}", step.operations);
                assert_eq!(self.commit(&endorsed, endorsers).await, code, "{}", step.operations);
            }
            Ends::Evaluated => {
                demand_same(step, &north, &south);
                step.demand_replies(&said(&north).payload);
            }
            Ends::Refused(message) => {
                for answer in [&north, &south] {
                    let Response { status, message: said, payload } = said(answer);
                    assert_eq!((status, said.as_str()), (500, message), "{}", step.operations);
                    assert!(payload.is_empty() && answer.endorsement.is_none(), "{}", step.operations);
                }
                // What the gateway makes of it is the same whoever answers first.
                for side in [&self.north, &self.south] {
                    let own = step.proposal(self).endorsing_organizations([side.msp_id.clone()]);
                    let error = own.build().unwrap().endorse().await.unwrap_err();
                    let response = error.chaincode_response().unwrap_or_else(|| panic!("{error:?}"));
                    assert_eq!((response.status, response.message.as_str()), (500, message));
                }
            }
            Ends::RefusedInOwnWords => {
                for answer in [&north, &south] {
                    assert_eq!(said(answer).status, 500, "{}: {:?}", step.operations, said(answer));
                    assert!(answer.endorsement.is_none());
                }
            }
            Ends::WithoutWritesOf(callee) => {
                assert_eq!(north.response, south.response, "{}", step.operations);
                step.demand_replies(&said(&north).payload);
                let mut go = namespaces(&north);
                assert!(go.remove(callee).is_some_and(|written| !written.is_empty()), "{}", step.operations);
                assert_eq!(go, namespaces(&south), "{}", step.operations);
                let error = proposal.endorse().await.unwrap_err();
                assert!(error.chaincode_response().is_none(), "{error:?}");
            }
            Ends::RefusedByOurs(message) | Ends::OfNorthAlone(message) => {
                assert_eq!(said(&north).status, 200, "{}: {:?}", step.operations, said(&north));
                step.demand_replies(&said(&north).payload);
                let refused = said(&south);
                assert_eq!((refused.status, refused.message.as_str()), (500, message), "{}", step.operations);
            }
        }
    }

    /// Orders a transaction, waits until both peers have it, and notes how it ended.
    pub(crate) async fn commit(
        &mut self,
        endorsed: &Endorsed,
        mut endorsers: Vec<String>,
    ) -> TxValidationCode {
        endorsed.submit().await.unwrap();
        let mut verdicts = Vec::new();
        for side in [&self.north, &self.south] {
            let status = side.gateway.commit_status(endorsed.channel(), endorsed.tx_id()).await.unwrap();
            verdicts.push(status.code);
        }
        assert_eq!(verdicts[0], verdicts[1], "the peers agree on {}", endorsed.tx_id());
        endorsers.sort();
        self.sent.push(Sent { tx_id: endorsed.tx_id().to_owned(), code: verdicts[0], endorsers });
        verdicts[0]
    }
}

async fn answer(side: &Side, signed: &SignedProposal) -> ProposalResponse {
    side.endorser.process(signed.clone()).await.unwrap_or_else(|error| panic!("{}: {error:?}", side.msp_id))
}

/// The read-write sets of an answer, by namespace.
fn namespaces(answer: &ProposalResponse) -> BTreeMap<String, Vec<u8>> {
    let payload = ProposalResponsePayload::decode(answer.payload.as_slice()).unwrap();
    let action = ChaincodeAction::decode(payload.extension.as_slice()).unwrap();
    let results = TxReadWriteSet::decode(action.results.as_slice()).unwrap();
    results.ns_rwset.into_iter().map(|of| (of.namespace, of.rwset)).collect()
}

/// The same success, to the byte: reply, read-write sets, event.
#[track_caller]
fn demand_same(step: &Step, go: &ProposalResponse, ours: &ProposalResponse) {
    let operations = &step.operations;
    assert_eq!(go.response, ours.response, "{operations}");
    assert_eq!(
        go.response.as_ref().map(|response| response.status),
        Some(200),
        "{operations}: {:?}",
        go.response
    );
    assert!(go.endorsement.is_some() && ours.endorsement.is_some(), "{operations}");
    if go.payload != ours.payload {
        let told = |answer: &ProposalResponse| {
            let payload = ProposalResponsePayload::decode(answer.payload.as_slice()).unwrap();
            let action = ChaincodeAction::decode(payload.extension.as_slice()).unwrap();
            let of = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
            format!("results {}\nevent {}", of(&action.results), of(&action.events))
        };
        panic!("{operations}\nGo:\n{}\nours:\n{}", told(go), told(ours));
    }
    assert!(!go.payload.is_empty());
}

pub(crate) async fn what_was_scanned_is_checked_again_at_commit<const EDITION: usize>(
    world: &mut Mixed<EDITION>,
) {
    let put = |key: &str, value: &str| json!({ "op": "put", "key": key, "value": value });
    world.go(&Step::submit(json!([put("scanned/a", "1"), put("scanned/c", "1")]))).await;
    // The peer reads ahead, so that a scan that was left early has seen the whole of a small range.
    let scans = [
        (json!({ "op": "get", "key": "scanned/b" }), TxValidationCode::MvccReadConflict),
        (json!({ "op": "get_many", "keys": ["scanned/a", "scanned/b"] }), TxValidationCode::MvccReadConflict),
        (
            json!({ "op": "range", "key": "scanned/", "value": "scanned0" }),
            TxValidationCode::PhantomReadConflict,
        ),
        (
            json!({ "op": "first", "key": "scanned/", "value": "scanned0", "size": 1 }),
            TxValidationCode::PhantomReadConflict,
        ),
        (json!({ "op": "range", "key": "scanned/c", "value": "scanned0" }), TxValidationCode::Valid),
    ];
    for (scan, code) in scans {
        let step = Step::evaluate(json!([scan, put("scanned-by", "this")]));
        world.go(&Step::submit(json!([{ "op": "delete", "key": "scanned/b" }]))).await;
        let proposal = step.proposal(world).endorsing_organizations(world.both()).build().unwrap();
        let signed = proposal.signed().await.unwrap();
        demand_same(&step, &answer(&world.north, &signed).await, &answer(&world.south, &signed).await);
        let endorsed = proposal.endorse().await.unwrap();
        // Another transaction overtakes it.
        world.go(&Step::submit(json!([put("scanned/b", "new")]))).await;
        let endorsers = world.both().to_vec();
        assert_eq!(world.commit(&endorsed, endorsers).await, code, "{}", step.operations);
    }
}
