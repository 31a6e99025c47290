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

/// Who is to be found out, by which check, and what it says.
struct Case {
    name: &'static str,
    flaw: Flaw,
    check: &'static str,
    says: &'static str,
}

const fn case(name: &'static str, flaw: Flaw, check: &'static str, says: &'static str) -> Case {
    Case { name, flaw, check, says }
}

const CASES: &[Case] = &[
    case(
        "takes_any_configuration",
        TakesAnyConfiguration,
        "init_refuses_a_configuration_that_lacks_something",
        "`init` does not refuse",
    ),
    case(
        "changes_flame_parent",
        ChangesFlameParent,
        "flame_parent_reaches_the_runner_unchanged",
        "FLAME_PARENT was changed",
    ),
    case(
        "gives_all_the_same_name",
        GivesAllTheSameName,
        "instances_boot_side_by_side_under_names_of_their_own",
        "4 instances have these names",
    ),
    case(
        "gives_other_names",
        GivesOtherNames,
        "a_runner_calls_its_instance_as_its_backend_does",
        "the runner calls it `pid-",
    ),
    case(
        "stops_no_boot",
        StopsNothing,
        "stop_ends_an_instance_that_boots",
        "which has ended, took longer",
    ),
    case(
        "stops_nothing_that_serves",
        StopsNothing,
        "stop_ends_an_instance_that_serves",
        "which has ended, took longer",
    ),
    case(
        "leaves_a_failed_boot",
        StopsNothing,
        "a_boot_that_never_dials_home_is_stopped",
        "which has ended, took longer",
    ),
    case(
        "fails_to_stop_the_dead",
        FailsToStopTheDead,
        "stop_may_be_repeated",
        "failed: there is no such instance",
    ),
    case(
        "sees_no_death",
        SeesNoDeath,
        "watch_tells_of_an_end_in_good_order",
        "draining the pool took longer",
    ),
    case(
        "sees_no_crash",
        SeesNoDeath,
        "watch_tells_of_an_end_that_nobody_asked_for",
        "a call that ends its process gives",
    ),
    case(
        "gives_no_reason",
        GivesNoReason,
        "watch_of_the_dead_completes_for_everyone",
        "gives no reason for its death",
    ),
];

/// Runs each check on the backend that it has to find out.
pub(crate) fn trials() -> impl Iterator<Item = libtest_mimic::Trial> {
    CASES.iter().map(|&Case { name, flaw, check, says }| {
        let find = move || {
            let suite = Conformance::of(move || Flawed::new(flaw))
                .refuses("a configuration that lacks something", move || Flawed::new(flaw))
                .patience(Duration::from_secs(3));
            let check = suite.checks().into_iter().find(|known| known.name() == check);
            let check = check.ok_or("there is no such check")?;
            match crate::runtime()?.block_on(check.run()) {
                Err(unfit) if unfit.to_string().contains(says) => Ok(()),
                Err(unfit) => Err(format!("found for another reason: {unfit}").into()),
                Ok(()) => Err(format!("{} takes it", check.name()).into()),
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
            GivesNoReason => death.map(|_| Death::new("")).boxed(),
            _ => death,
        }
    }
}
