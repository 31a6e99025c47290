//! Backends that break one promise each: the suite has to detect every one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flame_aws::HostKind;
use flame_aws::backend::{
    Backend, BackendError, BootFailure, BootSpec, Death, Instance, Instances, PoolInfo,
};
use flame_aws::testing::Conformance;
use flame_wire::FlameParent;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::own_backend::OwnBackend;

/// The promise that a backend breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    AcceptsAnyConfiguration,
    ChangesFlameParent,
    ReturnsTheSameIdTwice,
    ReturnsOtherIds,
    StopsNothing,
    FailsToStopTheDead,
    ReportsNoDeath,
    WaitsForUnknownInstances,
    GivesNoReason,
}
use Defect::*;

/// A defect, the check that has to detect it, and a part of the failure's message.
struct Case {
    name: &'static str,
    defect: Defect,
    check: &'static str,
    message: &'static str,
}

const fn case(
    name: &'static str,
    defect: Defect,
    check: &'static str,
    message: &'static str,
) -> Case {
    Case { name, defect, check, message }
}

const CASES: &[Case] = &[
    case(
        "accepts_any_configuration",
        AcceptsAnyConfiguration,
        "start_rejects_a_missing_setting",
        "`start` accepts a missing setting",
    ),
    case(
        "changes_flame_parent",
        ChangesFlameParent,
        "flame_parent_reaches_the_runner_unchanged",
        "FLAME_PARENT differs",
    ),
    case(
        "returns_the_same_id_twice",
        ReturnsTheSameIdTwice,
        "concurrent_boots_return_unique_instance_ids",
        "4 instances share these ids",
    ),
    case(
        "returns_other_ids",
        ReturnsOtherIds,
        "the_runner_and_the_backend_agree_on_the_instance_id",
        "the runner reports `pid-",
    ),
    case(
        "does_not_stop_a_booting_instance",
        StopsNothing,
        "stop_ends_an_instance_that_is_booting",
        "should be dead by now, did not complete",
    ),
    case(
        "does_not_stop_a_serving_instance",
        StopsNothing,
        "stop_ends_an_instance_that_is_serving",
        "should be dead by now, did not complete",
    ),
    case(
        "leaves_an_instance_that_never_connects",
        StopsNothing,
        "an_instance_that_never_connects_is_stopped",
        "should be dead by now, did not complete",
    ),
    case(
        "fails_to_stop_the_dead",
        FailsToStopTheDead,
        "stop_is_idempotent",
        "failed: there is no such instance",
    ),
    case(
        "reports_no_exit",
        ReportsNoDeath,
        "watch_reports_a_clean_exit",
        "draining the pool did not complete",
    ),
    case(
        "reports_no_crash",
        ReportsNoDeath,
        "watch_reports_a_crash",
        "does `watch` complete when the process exits?",
    ),
    case(
        "waits_for_unknown_instances",
        WaitsForUnknownInstances,
        "an_unknown_instance_counts_as_dead",
        "should be dead by now, did not complete",
    ),
    case(
        "gives_no_reason",
        GivesNoReason,
        "every_watch_of_a_dead_instance_completes",
        "empty `Death::reason`",
    ),
];

/// Runs each check on the backend whose defect it has to detect.
pub(crate) fn trials() -> Vec<libtest_mimic::Trial> {
    let trials = CASES.iter().map(|&Case { name, defect, check, message }| {
        let detect = move || {
            let suite = Conformance::of(move || BrokenBackend(defect))
                .rejects("a missing setting", move || BrokenBackend(defect))
                .step_timeout(Duration::from_secs(3));
            let check = suite.checks().into_iter().find(|known| known.name() == check);
            let check = check.ok_or("there is no such check")?;
            match flame_tests::runtime().block_on(check.run()) {
                Err(failure) if failure.to_string().contains(message) => Ok(()),
                Err(failure) => Err(format!("it fails for another reason: {failure}").into()),
                Ok(()) => Err(format!("{} passes", check.name()).into()),
            }
        };
        let name = format!("broken_backends::a_backend_that_{name}_is_detected");
        libtest_mimic::Trial::test(name, detect)
    });
    trials.collect()
}

/// [`OwnBackend`] with a defect.
struct BrokenBackend(Defect);

impl Backend for BrokenBackend {
    fn kind(&self) -> HostKind {
        HostKind::Process
    }

    fn boot_timeout(&self) -> Duration {
        OwnBackend::new().boot_timeout()
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        async move {
            let inner = OwnBackend::new().start(pool).await?;
            let instances = BrokenInstances { defect: self.0, inner, ids: Mutex::default() };
            Ok(Arc::new(instances) as Arc<dyn Instances>)
        }
        .boxed()
    }
}

struct BrokenInstances {
    defect: Defect,
    inner: Arc<dyn Instances>,
    /// Each instance that was booted: as it was returned, and as `inner` knows it.
    ids: Mutex<Vec<(Instance, Instance)>>,
}

impl BrokenInstances {
    /// The instance as `inner` knows it, if it was booted.
    fn find(&self, instance: &Instance) -> Option<Instance> {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.iter().find(|(returned, _)| returned == instance).map(|(_, inner)| inner.clone())
    }
}

impl Instances for BrokenInstances {
    fn remote_boot(&self, mut spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        async move {
            if self.defect == ChangesFlameParent {
                let failed = |error: &dyn std::error::Error| BootFailure::new(error.to_string());
                let mut parent = FlameParent::decode(&spec.flame_parent).map_err(|e| failed(&e))?;
                parent.pool.push('!');
                spec.flame_parent = parent.encode().map_err(|e| failed(&e))?;
            }
            let inner = self.inner.remote_boot(spec).await?;
            let returned = match self.defect {
                ReturnsTheSameIdTwice => Instance::new("the instance"),
                ReturnsOtherIds => Instance::new(format!("i-{inner}")),
                _ => inner.clone(),
            };
            let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
            ids.push((returned.clone(), inner));
            Ok(returned)
        }
        .boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        async move {
            let inner = self.find(instance).unwrap_or_else(|| instance.clone());
            match self.defect {
                StopsNothing => Ok(()),
                FailsToStopTheDead if self.inner.watch(&inner).now_or_never().is_some() => {
                    Err(BackendError::new("there is no such instance"))
                }
                _ => self.inner.stop(&inner).await,
            }
        }
        .boxed()
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        let found = self.find(instance);
        let death = self.inner.watch(found.as_ref().unwrap_or(instance));
        match self.defect {
            ReportsNoDeath => std::future::pending().boxed(),
            WaitsForUnknownInstances if found.is_none() => std::future::pending().boxed(),
            GivesNoReason => death.map(|_| Death::new("")).boxed(),
            _ => death,
        }
    }
}
