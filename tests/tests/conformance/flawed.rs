//! Backends that break a promise each: the suite has to find them out.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flame_aws::backend::{Backend, BackendError, BootSpec, Death, Instance, PoolInfo};
use flame_aws::testing::Conformance;
use flame_aws::{BootFailure, HostKind};
use flame_wire::FlameParent;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::own_backend::OwnBackend;

/// What it does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    TakesAnyConfiguration,
    ChangesFlameParent,
    GivesAllTheSameName,
    GivesOtherNames,
    StopsNothing,
    FailsToStopTheDead,
    SeesNoDeath,
    GivesNoReason,
}
use Flaw::*;

/// Each flaw, and the check that finds it.
const FOUND_BY: &[(&str, Flaw, &str)] = &[
    ("takes_any_configuration", TakesAnyConfiguration, "init_refuses_nothing"),
    ("changes_flame_parent", ChangesFlameParent, "flame_parent_reaches_the_runner_unchanged"),
    (
        "gives_all_the_same_name",
        GivesAllTheSameName,
        "instances_boot_side_by_side_under_names_of_their_own",
    ),
    ("gives_other_names", GivesOtherNames, "a_runner_calls_its_instance_as_its_backend_does"),
    ("stops_nothing", StopsNothing, "stop_ends_an_instance_that_boots"),
    ("stops_nothing_that_serves", StopsNothing, "stop_ends_an_instance_that_serves"),
    ("never_stops_a_boot", StopsNothing, "a_boot_that_never_dials_home_is_stopped"),
    ("fails_to_stop_the_dead", FailsToStopTheDead, "stop_may_be_repeated"),
    ("sees_no_death", SeesNoDeath, "watch_tells_of_an_end_in_good_order"),
    ("sees_no_crash", SeesNoDeath, "watch_tells_of_an_end_that_nobody_asked_for"),
    ("gives_no_reason", GivesNoReason, "watch_of_the_dead_completes_for_everyone"),
];

/// Runs each check on the backend that it has to find out.
pub(crate) fn trials() -> impl Iterator<Item = libtest_mimic::Trial> {
    FOUND_BY.iter().map(|&(name, flaw, found_by)| {
        let find = move || {
            let suite = Conformance::of(move || Flawed::new(flaw))
                .refuses("nothing", move || Flawed::new(flaw))
                .patience(Duration::from_secs(2));
            let check = suite.checks().into_iter().find(|check| check.name() == found_by);
            let check = check.ok_or_else(|| format!("there is no check {found_by}"))?;
            match crate::runtime()?.block_on(check.run()) {
                Err(unfit) => { eprintln!("{name}: {unfit}"); Ok(()) }
                Ok(()) => Err(format!("{found_by} takes a backend that {flaw:?}").into()),
            }
        };
        libtest_mimic::Trial::test(format!("flawed::a_backend_that_{name}_is_found_out"), find)
    })
}

struct Flawed {
    flaw: Flaw,
    sound: OwnBackend,
    /// What it has booted, in the order of the boots.
    booted: Mutex<Vec<(Instance, Instance)>>,
}

impl Flawed {
    fn new(flaw: Flaw) -> Self {
        Self { flaw, sound: OwnBackend::new(), booted: Mutex::default() }
    }

    /// An instance as the sound backend knows it.
    fn sound_name(&self, instance: &Instance) -> Instance {
        let booted = self.booted.lock().unwrap_or_else(PoisonError::into_inner);
        let found = booted.iter().find(|(name, _)| name == instance);
        found.map_or_else(|| instance.clone(), |(_, sound)| sound.clone())
    }
}

impl Backend for Flawed {
    fn kind(&self) -> HostKind {
        self.sound.kind()
    }

    fn boot_timeout(&self) -> Duration {
        self.sound.boot_timeout()
    }

    fn init<'a>(&'a self, pool: &'a PoolInfo) -> BoxFuture<'a, Result<(), BackendError>> {
        self.sound.init(pool)
    }

    fn remote_boot(&self, mut spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        async move {
            if self.flaw == ChangesFlameParent {
                let failed = |error: &dyn std::error::Error| BootFailure::new(error.to_string());
                let mut parent = FlameParent::decode(&spec.flame_parent).map_err(|e| failed(&e))?;
                parent.pool.push('!');
                spec.flame_parent = parent.encode().map_err(|e| failed(&e))?;
            }
            let sound = self.sound.remote_boot(spec).await?;
            let named = match self.flaw {
                GivesAllTheSameName => Instance::new("the instance"),
                GivesOtherNames => Instance::new(format!("i-{sound}")),
                _ => sound.clone(),
            };
            let mut booted = self.booted.lock().unwrap_or_else(PoisonError::into_inner);
            booted.push((named.clone(), sound));
            Ok(named)
        }
        .boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        async move {
            let sound = self.sound_name(instance);
            match self.flaw {
                StopsNothing => Ok(()),
                FailsToStopTheDead if self.sound.watch(&sound).now_or_never().is_some() => {
                    Err(BackendError::new("there is no such instance"))
                }
                _ => self.sound.stop(&sound).await,
            }
        }
        .boxed()
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        let death = self.sound.watch(&self.sound_name(instance));
        match self.flaw {
            SeesNoDeath => std::future::pending().boxed(),
            GivesNoReason => death.map(|_| Death::default()).boxed(),
            _ => death,
        }
    }
}
