//! Acts in a stated order against one network, as a test program.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

use crate::stage::Stage;

/// What the acts of a program work on. It is stood up before the first act that runs.
pub trait World: Sized + Send + 'static {
    /// Stands it up in a run's folder; panics say why it does not stand.
    fn stand_up(stage: &Stage) -> impl Future<Output = Self>;
}

/// One act; a panic is a failure.
pub type Act<W> = Box<dyn for<'w> Fn(&'w mut W) -> Doing<'w> + Send>;

/// An act under way.
pub type Doing<'w> = Pin<Box<dyn Future<Output = ()> + 'w>>;

/// The acts on one network.
pub struct Play {
    trials: Vec<Trial>,
    clear: Box<dyn FnOnce(bool)>,
}

/// How acts depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Each builds on all before it: they run too when only a later one is asked for, and after a failure none
    /// is reached.
    Story,
    /// Each stands for itself.
    Each,
}

/// Names acts by their functions: `acts![first_act, second_act]`.
#[macro_export]
macro_rules! acts {
    ($($act:path),* $(,)?) => {
        vec![$({
            let act: for<'w> fn(&'w mut _) -> $crate::telling::Doing<'w> = |world| Box::pin($act(world));
            (stringify!($act), Box::new(act) as $crate::telling::Act<_>)
        }),*]
    };
}

/// Runs a program's acts one after the other, and clears the stage whatever happened.
pub fn tell<W: World>(
    tmp: &str,
    program: &'static str,
    order: Order,
    acts: Vec<(&'static str, Act<W>)>,
) -> ExitCode {
    tell_all(vec![play(tmp, program, "", order, acts)])
}

/// Acts on a network of their own, of a `kind` that is told before their names unless it is empty.
pub fn play<W: World>(
    tmp: &str,
    program: &'static str,
    kind: &str,
    order: Order,
    acts: Vec<(&'static str, Act<W>)>,
) -> Play {
    let names: Vec<_> = acts.iter().map(|(name, _)| name.rsplit("::").next().unwrap_or(name)).collect();
    let teller = Teller { tmp: tmp.to_owned(), program, order, acts, told: 0, stopped_at: None, stood: None };
    let teller = Arc::new(Mutex::new(teller));
    let trial = |(index, name): (usize, &&str)| {
        let teller = Arc::clone(&teller);
        Trial::test(*name, move || teller.lock().expect("acts run one by one").reach(index)).with_kind(kind)
    };
    let trials = names.iter().enumerate().map(trial).collect();
    let clear = Box::new(move |keep| {
        if let Some(stood) = teller.lock().expect("acts run one by one").stood.take() {
            stood.clear(keep);
        }
    });
    Play { trials, clear }
}

/// Runs plays one after the other, and clears their stages whatever happened.
pub fn tell_all(plays: Vec<Play>) -> ExitCode {
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let (trials, clears): (Vec<_>, Vec<_>) = plays.into_iter().map(|play| (play.trials, play.clear)).unzip();
    let conclusion = libtest_mimic::run(&arguments, trials.into_iter().flatten().collect());
    for clear in clears {
        clear(conclusion.has_failed());
    }
    conclusion.exit_code()
}

struct Teller<W> {
    tmp: String,
    program: &'static str,
    order: Order,
    acts: Vec<(&'static str, Act<W>)>,
    /// Acts of a story that are over.
    told: usize,
    /// The act at which a story stopped.
    stopped_at: Option<&'static str>,
    stood: Option<Stood<W>>,
}

/// A stage with its world, or without when that did not stand up.
struct Stood<W> {
    runtime: Runtime,
    stage: Stage,
    world: Result<W, String>,
}

impl<W: World> Teller<W> {
    fn reach(&mut self, index: usize) -> Result<(), Failed> {
        match self.order {
            Order::Each => self.act(index),
            Order::Story => {
                while self.told <= index {
                    if let Some(act) = self.stopped_at {
                        return Err(format!("not reached: the story stopped at `{act}`").into());
                    }
                    let told = self.act(self.told);
                    if told.is_err() {
                        self.stopped_at = self.acts.get(self.told).map(|(name, _)| *name);
                        return told;
                    }
                    self.told += 1;
                }
                Ok(())
            }
        }
    }

    fn act(&mut self, index: usize) -> Result<(), Failed> {
        if self.stood.is_none() {
            self.stood = Some(Stood::new(&self.tmp, self.program));
        }
        let (Some(stood), Some((_, act))) = (&mut self.stood, self.acts.get(index)) else {
            return Err("there is no such act".into());
        };
        let world = stood.world.as_mut().map_err(|why| Failed::from(format!("nothing stands: {why}")))?;
        catch_unwind(AssertUnwindSafe(|| stood.runtime.block_on(act(world))))
            .map_err(|panic| told(&*panic).into())
    }
}

impl<W: World> Stood<W> {
    fn new(tmp: &str, program: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let stage = Stage::set(Path::new(tmp), program);
        runtime.spawn(end_on_interrupt(stage.folder().to_owned()));
        let world = catch_unwind(AssertUnwindSafe(|| runtime.block_on(W::stand_up(&stage))));
        let world = world.map_err(|panic| told(&*panic));
        Self { runtime, stage, world }
    }

    fn clear(self, keep: bool) {
        let within = self.runtime.enter();
        drop(self.world);
        drop(within);
        self.stage.clear(keep);
    }
}

/// Ctrl-C leaves no process behind either.
async fn end_on_interrupt(folder: std::path::PathBuf) {
    if tokio::signal::ctrl_c().await.is_ok() {
        crate::processes::end_all(&folder);
        std::process::exit(130);
    }
}

/// What a panic said; its place is on stderr already.
fn told(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (None, Some(text)) => (*text).to_owned(),
        (None, None) => "it panicked".to_owned(),
    }
}
