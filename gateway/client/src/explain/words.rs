//! Explanations in plain words.

use std::fmt::{Display, Formatter, Result};

use hlf_protos::protos::TxValidationCode;

use super::{
    Cause, Change, Comparison, Conflict, Difference, Explanation, Key, Part, Party, Phantom, Position,
    UnmetPolicy, Winner,
};

impl Display for Explanation {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let Some(transaction) = &self.transaction else {
            return write!(
                formatter,
                "transaction {} is in no block of this peer on channel {}: it was never ordered, or is not there yet",
                self.tx_id, self.channel
            );
        };
        writeln!(
            formatter,
            "transaction {} is {} in {}",
            self.tx_id,
            transaction.code.as_str_name(),
            transaction.position
        )?;
        if !transaction.chaincode.is_empty() {
            writeln!(
                formatter,
                "  called {:?} of chaincode {}",
                transaction.function, transaction.chaincode
            )?;
        }
        write!(formatter, "  made by {}", transaction.creator)?;
        if let Some(timestamp) = &transaction.timestamp {
            write!(formatter, " at {timestamp}")?;
        }
        formatter.write_str("\n  endorsed by ")?;
        if transaction.endorsers.is_empty() {
            formatter.write_str("nobody")?;
        }
        list(formatter, &transaction.endorsers)?;
        formatter.write_str("\n")?;
        self.cause.told(formatter, transaction.code)?;
        for copy in &self.copies {
            write!(formatter, "\nwhat else is under its id, in {copy}, had no effect")?;
        }
        Ok(())
    }
}

impl Cause {
    fn told(&self, formatter: &mut Formatter<'_>, code: TxValidationCode) -> Result {
        match self {
            Self::InNoBlock => Ok(()),
            Self::Valid => formatter.write_str("it took effect"),
            Self::Conflict { conflicts } if conflicts.is_empty() => formatter.write_str(
                "something that it had read was changed before its block; the change lies further back than was searched",
            ),
            Self::Conflict { conflicts } => {
                formatter.write_str("it had no effect, because what it had read was changed before its block:")?;
                conflicts.iter().try_for_each(|conflict| write!(formatter, "\n  {conflict}"))
            }
            Self::Phantom { scan: None } => formatter.write_str(
                "the result of a scan was changed before its block; the change lies further back than was searched",
            ),
            Self::Phantom { scan: Some(phantom) } => {
                write!(
                    formatter,
                    "it had no effect, because what it had scanned was changed before its block:\n  {phantom}"
                )
            }
            Self::Policy { unmet } if unmet.is_empty() => formatter.write_str(
                "it had no effect; its endorsers satisfy the policies now in force, so an endorser's certificate or \
                 signature was not valid, or a policy was another then",
            ),
            Self::Policy { unmet } => {
                formatter.write_str("it had no effect, because its endorsements don't satisfy:")?;
                unmet.iter().try_for_each(|policy| write!(formatter, "\n  {policy}"))
            }
            Self::Unacceptable => {
                write!(formatter, "it had no effect: peers found it not acceptable ({})", code.as_str_name())
            }
        }
    }
}

impl Display for Position {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        write!(formatter, "block {}, transaction {}", self.block, self.index)
    }
}

impl Display for Party {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match &self.name {
            Some(name) => write!(formatter, "{name} of {}", self.msp_id),
            None => formatter.write_str(&self.msp_id),
        }
    }
}

impl Display for Key {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        key(formatter, &self.namespace, self.collection.as_deref(), &self.key)
    }
}

impl Display for Conflict {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        write!(formatter, "{} was ", self.key)?;
        match &self.read {
            Some(read) => write!(formatter, "read as of {read}")?,
            None => formatter.write_str("read as absent")?,
        }
        let did = if self.winner.deleted { "deleted" } else { "written" };
        write!(formatter, ", and {did} by {}", self.winner)
    }
}

impl Display for Winner {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        write!(formatter, "transaction {} in {}", self.tx_id, self.position)
    }
}

impl Display for Phantom {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        write!(
            formatter,
            "in the range {:?} to {:?} of chaincode {}, key {:?} {} by {}",
            self.start_key,
            self.end_key,
            self.namespace,
            self.key,
            match self.change {
                Change::Appeared => "was added",
                Change::Changed => "was changed",
                Change::Vanished => "was deleted",
                Change::Written => "was written",
            },
            self.winner
        )
    }
}

impl Display for UnmetPolicy {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match &self.key {
            Some(name) => {
                formatter.write_str("the policy of ")?;
                key(formatter, &self.namespace, self.collection.as_deref(), name)?;
            }
            None => match &self.collection {
                Some(collection) => {
                    write!(
                        formatter,
                        "the policy of collection {collection} of chaincode {}",
                        self.namespace
                    )?;
                }
                None => write!(formatter, "the policy of chaincode {}", self.namespace)?,
            },
        }
        write!(formatter, ", {}: endorsed by ", self.policy)?;
        if self.endorsed.is_empty() {
            formatter.write_str("nobody")?;
        }
        list(formatter, &self.endorsed)?;
        formatter.write_str("; missing ")?;
        for (index, way) in self.missing.iter().enumerate() {
            if index > 0 {
                formatter.write_str(", or ")?;
            }
            formatter.write_str(&way.join(" and "))?;
        }
        Ok(())
    }
}

impl Display for Comparison {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match &self.difference {
            Some(difference) => {
                write!(formatter, "endorsers of transaction {} differ: {difference}", self.tx_id)?;
            }
            None => {
                let agree = self.answers.iter().filter(|answer| answer.msp_id.is_some()).count();
                let all = self.answers.len();
                write!(formatter, "of {all} endorsers of transaction {}, {agree} agree", self.tx_id)?;
            }
        }
        for answer in &self.answers {
            if let Some(refusal) = &answer.refusal {
                write!(formatter, "\n{} did not endorse: {refusal}", answer.peer)?;
            }
        }
        Ok(())
    }
}

impl Display for Difference {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let [first, second] = &self.peers;
        let [one, other] = &self.sides;
        write!(formatter, "{}", self.part)?;
        if let (Some(namespace), Some(name)) = (&self.namespace, &self.key) {
            formatter.write_str(" of ")?;
            key(formatter, namespace, self.collection.as_deref(), name)?;
        }
        write!(formatter, " is {one} at {first} and {other} at {second}")
    }
}

impl Display for Part {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        formatter.write_str(match self {
            Self::Read => "the version read",
            Self::Scan => "the scan",
            Self::Write => "the value written",
            Self::Metadata => "the metadata written",
            Self::Event => "the event",
            Self::Status => "the status",
            Self::Message => "the message",
            Self::Reply => "the reply",
            Self::Chaincode => "the chaincode",
            Self::Proposal => "the proposal",
        })
    }
}

/// Keys are quoted: those that join several parts hold characters that don't show.
fn key(formatter: &mut Formatter<'_>, namespace: &str, collection: Option<&str>, key: &str) -> Result {
    match collection {
        Some(collection) => write!(
            formatter,
            "the private key of SHA-256 {key} in collection {collection} of chaincode {namespace}"
        ),
        None => write!(formatter, "key {key:?} of chaincode {namespace}"),
    }
}

fn list<T: Display>(formatter: &mut Formatter<'_>, items: &[T]) -> Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            formatter.write_str(", ")?;
        }
        item.fmt(formatter)?;
    }
    Ok(())
}
