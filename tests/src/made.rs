//! Calls as a test makes them, and which they were.

use std::collections::BTreeSet;
use std::ops::DerefMut;

use caretrail_model::calls::*;
use caretrail_model::for_each_call;

use crate::actors::{Actors, Person};

/// Makes calls, and notes which of them both hospitals took.
#[derive(Debug)]
pub struct Made<'a, W> {
    /// Whose calls they are.
    pub world: &'a mut W,
    names: BTreeSet<&'static str>,
}

impl<'a, W: DerefMut<Target = Actors>> Made<'a, W> {
    /// None by now.
    pub fn none(world: &'a mut W) -> Self {
        Self { world, names: BTreeSet::new() }
    }

    /// [`Actors::done`].
    ///
    /// # Panics
    /// When it ends otherwise.
    pub async fn done<C: Call>(&mut self, identity: &str, call: &C) -> C::Reply {
        let reply = self.world.done(identity, call).await;
        self.names.insert(C::NAME);
        reply
    }

    /// [`Actors::seen`].
    ///
    /// # Panics
    /// When one refuses it, or they differ.
    pub async fn seen<C: Call>(&mut self, identity: &str, call: &C) -> C::Reply {
        let reply = self.world.seen(identity, call).await;
        self.names.insert(C::NAME);
        reply
    }

    /// [`Actors::person`].
    ///
    /// # Panics
    /// When the registration does not commit.
    pub async fn person(&mut self, name: &str) -> Person {
        let person = self.world.person(name).await;
        self.names.insert(RegisterPatient::NAME);
        person
    }

    /// Demands that they are the calls of these engines, every one.
    ///
    /// # Panics
    /// When one is left out, or is newer.
    pub fn demand_every_call_until_epoch(&self, epoch: u32) {
        let mut every = BTreeSet::new();
        macro_rules! name {
            ($call:ident) => {
                if $call::SINCE_EPOCH <= epoch {
                    every.insert($call::NAME);
                }
            };
        }
        for_each_call!(name);
        assert_eq!(self.names, every, "every call was made");
    }
}
