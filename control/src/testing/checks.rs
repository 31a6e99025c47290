//! The checks. Each one tests a promise of a backend, and leaves no instance behind.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flame_wire::parent::HostKind;
use futures_util::future::{BoxFuture, join_all};
use futures_util::{FutureExt, TryStreamExt};
use tokio::net::TcpListener;

use super::check_run::{CheckRun, expect, succeeded, with_source};
use super::functions::{count, echo, exit, forever, identify};
use super::recording_backend::RecordedBoot;
use super::{CheckFailure, Conformance};
use crate::backend::{Backend, Instance};
use crate::{CallError, PoolError, PoolEvent};

/// The number of concurrent boots.
const CONCURRENT_BOOTS: u32 = 4;
/// The boot timeout of a runner that never connects.
const SHORT_BOOT_TIMEOUT: Duration = Duration::from_millis(500);
/// The exit code of a runner that ends its own process.
const EXIT_CODE: i32 = 7;

/// A check that does not depend on the backend's configuration.
pub(super) struct CheckSpec {
    pub(super) name: &'static str,
    applies_to: AppliesTo,
    run: for<'a> fn(&'a CheckRun) -> BoxFuture<'a, Result<(), CheckFailure>>,
}

/// The backends that a check applies to.
#[derive(Clone, Copy)]
enum AppliesTo {
    All,
    /// Backends whose runners are processes of their own, so that the exit of a runner does not end
    /// the suite.
    OwnProcess,
    /// Backends whose runners know the id of their instance.
    KnownId,
}
use AppliesTo::*;

impl CheckSpec {
    pub(super) fn applies(&self, kind: HostKind, suite: &Conformance) -> bool {
        match self.applies_to {
            All => true,
            OwnProcess => kind != HostKind::Local,
            KnownId => kind == HostKind::Process && !suite.platform_assigns_ids,
        }
    }

    /// Runs the check on a new backend, and cleans up afterwards, whether it passes or fails.
    pub(super) async fn run(&self, suite: Arc<Conformance>) -> Result<(), CheckFailure> {
        let backend = (suite.make)();
        let run = CheckRun::new(suite, backend);
        let passed = (self.run)(&run).await;
        let cleaned_up = run.clean_up().await;
        passed.and(cleaned_up)
    }
}

macro_rules! checks {
    ($($applies_to:ident: $name:ident),* $(,)?) => {
        &[$(CheckSpec {
            name: stringify!($name),
            applies_to: $applies_to,
            run: |run| $name(run).boxed(),
        }),*]
    };
}

pub(super) const ALL: &[CheckSpec] = checks![
    All: a_runner_connects_and_serves_calls,
    All: flame_parent_reaches_the_runner_unchanged,
    All: concurrent_boots_return_unique_instance_ids,
    KnownId: the_runner_and_the_backend_agree_on_the_instance_id,
    All: stop_ends_an_instance_that_is_booting,
    All: stop_ends_an_instance_that_is_serving,
    All: stop_is_idempotent,
    All: watch_reports_a_clean_exit,
    OwnProcess: watch_reports_a_crash,
    All: every_watch_of_a_dead_instance_completes,
    All: an_unknown_instance_counts_as_dead,
    All: an_instance_that_never_connects_is_stopped,
    All: a_lost_instance_is_replaced,
    All: calls_streams_and_drain_work,
    All: a_dropped_pool_leaves_no_instance,
];

/// `start` fails, with a message, for the `nth` configuration that it must reject.
pub(super) async fn start_rejects(suite: Arc<Conformance>, nth: usize) -> Result<(), CheckFailure> {
    let Some((what, make)) = suite.rejected.get(nth) else { return Ok(()) };
    let run = CheckRun::new(suite.clone(), make());
    match run.within("`start`", run.pool().start()).await? {
        Err(PoolError::Backend(error)) => expect(!error.to_string().trim().is_empty(), || {
            format!("`start` rejects {what}, but its `BackendError` has no message")
        }),
        Err(error) => {
            let error = with_source(&error);
            Err(CheckFailure::new(format!("the pool failed before it called `start`: {error}")))
        }
        Ok(pool) => {
            run.drain(pool).await?;
            Err(CheckFailure::new(format!("`start` accepts {what}; it must return an error")))
        }
    }
}

async fn a_runner_connects_and_serves_calls(run: &CheckRun) -> Result<(), CheckFailure> {
    let pool = run.start(run.pool()).await?;
    let answer = succeeded("the first call", pool.call(echo("hello".to_owned())).await)?;
    expect(answer == "hello", || format!("`echo(\"hello\")` returned {answer:?}"))?;
    run.drain(pool).await
}

async fn flame_parent_reaches_the_runner_unchanged(run: &CheckRun) -> Result<(), CheckFailure> {
    let pool = run.start(run.pool()).await?;
    let identity = succeeded("the first call", pool.call(identify()).await)?;
    let RecordedBoot { runner, flame_parent, .. } = run.first_boot().await?;
    expect(identity.runner == Some(runner), || {
        format!(
            "`remote_boot` was asked for runner {runner}, but {:?} has connected",
            identity.runner
        )
    })?;
    // On the other kinds of host it arrives in another way, and a runner that has connected has
    // proved that it arrived.
    let kinds = [HostKind::Process, HostKind::Ecs, HostKind::Docker, HostKind::Fly];
    let in_environment = kinds.contains(&run.backend.kind());
    match identity.flame_parent {
        Some(found) => expect(found == flame_parent, || {
            let (found, given) = (found.len(), flame_parent.len());
            format!(
                "the runner's FLAME_PARENT differs from `BootSpec::flame_parent`: it has {found} \
                 characters instead of {given}"
            )
        })?,
        None => expect(!in_environment, || {
            "FLAME_PARENT is not in the runner's environment".to_owned()
        })?,
    }
    run.drain(pool).await
}

async fn concurrent_boots_return_unique_instance_ids(run: &CheckRun) -> Result<(), CheckFailure> {
    let pool = run.pool().max(CONCURRENT_BOOTS).max_concurrency(1);
    let pool = run.start(pool).await?;
    // Each child occupies a whole runner, so each one needs a boot.
    let children = join_all((0..CONCURRENT_BOOTS).map(|_| pool.place_child(forever()))).await;
    let children = children.into_iter().map(|child| succeeded("one of several boots", child));
    let children = children.collect::<Result<Vec<_>, _>>()?;
    let boots = run.backend.boots();
    let ids: BTreeSet<_> = boots.iter().map(|boot| boot.instance.id.trim()).collect();
    expect(!ids.contains(""), || "`remote_boot` returned an instance with an empty id".to_owned())?;
    expect(ids.len() == boots.len(), || {
        format!("{} instances share these ids: {ids:?}; each needs its own", boots.len())
    })?;
    drop(children);
    run.drain(pool).await
}

async fn the_runner_and_the_backend_agree_on_the_instance_id(
    run: &CheckRun,
) -> Result<(), CheckFailure> {
    let pool = run.start(run.pool()).await?;
    let reported = succeeded("the first call", pool.call(identify()).await)?.process;
    let instance = run.first_boot().await?.instance;
    expect(reported == instance.id, || {
        format!(
            "the backend's id of the instance is `{instance}`, but the runner reports `{reported}`: \
             return `pid-` and the process id from `remote_boot`, or, if the platform assigns the \
             ids, call `Conformance::platform_assigns_ids`"
        )
    })?;
    run.drain(pool).await
}

async fn stop_ends_an_instance_that_is_booting(run: &CheckRun) -> Result<(), CheckFailure> {
    let _silent = misdirect(run).await?;
    let pool = run.start(run.pool().min(1)).await?;
    let RecordedBoot { instance, .. } = run.first_boot().await?;
    run.stop(&instance).await?;
    run.death(&instance).await?;
    run.drain(pool).await
}

async fn stop_ends_an_instance_that_is_serving(run: &CheckRun) -> Result<(), CheckFailure> {
    let pool = run.start(run.pool()).await?;
    let child = succeeded("placing a child", pool.place_child(forever()).await)?;
    let RecordedBoot { instance, .. } = run.first_boot().await?;
    run.stop(&instance).await?;
    run.death(&instance).await?;
    match run.within("the child on a stopped instance", child.join()).await? {
        // If the platform stops an instance by SIGTERM first, the runner cancels its calls itself.
        Err(CallError::RunnerLost { started: true, .. } | CallError::Cancelled) => {}
        other => {
            return Err(CheckFailure::new(format!(
                "the child on a stopped instance ended with {other:?}, not with `RunnerLost` or \
                 `Cancelled`"
            )));
        }
    }
    run.drain(pool).await
}

async fn stop_is_idempotent(run: &CheckRun) -> Result<(), CheckFailure> {
    let pool = run.start(run.pool()).await?;
    succeeded("the first call", pool.call(echo(String::new())).await)?;
    let RecordedBoot { instance, .. } = run.first_boot().await?;
    let (first, second) = tokio::join!(run.stop(&instance), run.stop(&instance));
    first.and(second)?;
    run.death(&instance).await?;
    run.stop(&instance).await?;
    run.drain(pool).await
}

async fn watch_reports_a_clean_exit(run: &CheckRun) -> Result<(), CheckFailure> {
    let pool = run.start(run.pool()).await?;
    succeeded("the first call", pool.call(echo(String::new())).await)?;
    let RecordedBoot { instance, .. } = run.first_boot().await?;
    let death = run.instances()?.watch(&instance);
    run.drain(pool).await?;
    let death = run.within("`watch` of an instance that has exited", death).await?;
    expect(matches!(death.exit_code, None | Some(0)), || {
        format!("the runner exited with code 0, but `watch` reports {death:?}")
    })
}

async fn watch_reports_a_crash(run: &CheckRun) -> Result<(), CheckFailure> {
    let pool = run.start(run.pool()).await?;
    succeeded("the first call", pool.call(echo(String::new())).await)?;
    let RecordedBoot { instance, .. } = run.first_boot().await?;
    let death = run.instances()?.watch(&instance);
    match pool.call(exit(EXIT_CODE)).await {
        Err(CallError::RunnerLost { started: true, .. }) => {}
        other => {
            return Err(CheckFailure::new(format!(
                "a call whose function ends its process returned {other:?}, not `RunnerLost`: does \
                 `watch` complete when the process exits?"
            )));
        }
    }
    let death = run.within("`watch` of an instance that has exited", death).await?;
    expect(!death.reason.trim().is_empty(), || {
        "`watch` completed with an empty `Death::reason`".to_owned()
    })?;
    expect(matches!(death.exit_code, None | Some(EXIT_CODE)), || {
        format!("the runner exited with code {EXIT_CODE}, but `watch` reports {death:?}")
    })?;
    run.drain(pool).await
}

async fn every_watch_of_a_dead_instance_completes(run: &CheckRun) -> Result<(), CheckFailure> {
    let pool = run.start(run.pool()).await?;
    succeeded("the first call", pool.call(echo(String::new())).await)?;
    let RecordedBoot { instance, .. } = run.first_boot().await?;
    let (first, second) = (run.death(&instance), run.death(&instance));
    let (stopped, first, second) = tokio::join!(run.stop(&instance), first, second);
    stopped.and(first).and(second)?;
    run.death(&instance).await?;
    run.drain(pool).await
}

async fn an_unknown_instance_counts_as_dead(run: &CheckRun) -> Result<(), CheckFailure> {
    let pool = run.start(run.pool()).await?;
    let unknown = Instance::new("an-instance-that-was-never-booted");
    run.stop(&unknown).await?;
    run.death(&unknown).await?;
    run.drain(pool).await
}

async fn an_instance_that_never_connects_is_stopped(run: &CheckRun) -> Result<(), CheckFailure> {
    let _silent = misdirect(run).await?;
    let pool = run.start(run.pool().boot_timeout(SHORT_BOOT_TIMEOUT)).await?;
    match pool.call(identify()).await {
        Err(CallError::BootFailed(failure)) if failure.exit_code.is_none() => {}
        other => {
            return Err(CheckFailure::new(format!(
                "no runner connected within the boot timeout, and the call returned {other:?}, not \
                 `BootFailed` without an exit code"
            )));
        }
    }
    let RecordedBoot { instance, .. } = run.first_boot().await?;
    run.death(&instance).await?;
    run.drain(pool).await
}

async fn a_lost_instance_is_replaced(run: &CheckRun) -> Result<(), CheckFailure> {
    let pool = run.start(run.pool()).await?;
    let before = succeeded("the first call", pool.call(identify()).await)?.runner;
    let RecordedBoot { instance, .. } = run.first_boot().await?;
    let mut events = pool.events();
    run.stop(&instance).await?;
    let lost = async {
        while let Some(event) = events.next().await {
            // If the platform stops an instance by SIGTERM, its runner drains: `Shrink`.
            if matches!(event, Ok(PoolEvent::RunnerLost { .. } | PoolEvent::Shrink { .. })) {
                return;
            }
        }
    };
    run.within("the event `RunnerLost` or `Shrink` for a stopped instance", lost).await?;
    let after = pool.call(identify()).await;
    let after = succeeded("the call after the loss of a runner", after)?.runner;
    expect(after != before, || "a runner that was lost has served another call".to_owned())?;
    run.drain(pool).await
}

async fn calls_streams_and_drain_work(run: &CheckRun) -> Result<(), CheckFailure> {
    let pool = run.start(run.pool().max(2).max_concurrency(4)).await?;
    let works = (0..100).map(|n: u32| echo(n.to_string()));
    let texts: Vec<String> = succeeded("one of 100 calls", pool.map(works).try_collect().await)?;
    expect(texts.iter().enumerate().all(|(n, text)| *text == n.to_string()), || {
        format!("100 calls of `echo` returned {texts:?}")
    })?;
    let items = pool.stream(count(1000)).try_collect().await;
    let items: Vec<u32> = succeeded("a stream", items)?;
    expect(items.iter().copied().eq(0..1000), || {
        format!("`count(1000)` streamed {} items: {items:?}", items.len())
    })?;
    let other = pool.clone();
    run.drain(pool).await?;
    let rejected = other.call(echo(String::new())).await;
    expect(matches!(rejected, Err(CallError::Draining)), || {
        format!("a call on a drained pool returned {rejected:?}, not `Draining`")
    })
}

async fn a_dropped_pool_leaves_no_instance(run: &CheckRun) -> Result<(), CheckFailure> {
    let pool = run.start(run.pool()).await?;
    succeeded("the first call", pool.call(echo(String::new())).await)?;
    drop(pool);
    run.all_dead().await
}

/// Makes the runners that are booted from now on connect to a listener that never answers, until
/// the listener is dropped.
async fn misdirect(run: &CheckRun) -> Result<TcpListener, CheckFailure> {
    let silent = succeeded("opening a listener", TcpListener::bind("127.0.0.1:0").await)?;
    let address = succeeded("asking for the listener's address", silent.local_addr())?;
    run.backend.misdirect(format!("ws://{address}"));
    Ok(silent)
}
