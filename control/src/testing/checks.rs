//! The checks. Each is a claim about the backend, and each leaves nothing behind.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flame_wire::parent::HostKind;
use futures_util::future::{BoxFuture, join_all};
use futures_util::{FutureExt, TryStreamExt};
use tokio::net::TcpListener;

use super::functions::{count, echo, exit, forever, who};
use super::scene::{Scene, expect, needed, whole};
use super::witness::{Boot, Witness};
use super::{Conformance, Unfit};
use crate::{CallError, PoolError, PoolEvent};

/// Boots at a time.
const SIDE_BY_SIDE: u32 = 4;
/// How long a boot that dials nobody is given.
const BRIEF: Duration = Duration::from_millis(500);
/// What a copy that ends by itself ends with.
const CODE: i32 = 7;

/// A check that is the same for every backend.
pub(super) struct Known {
    pub(super) name: &'static str,
    needs: Needs,
    pub(super) run: for<'a> fn(&'a Scene) -> BoxFuture<'a, Result<(), Unfit>>,
}

/// Which backends a check is for.
#[derive(Clone, Copy)]
enum Needs {
    Nothing,
    /// Runners that are processes of their own: one may end without the suite.
    OwnProcess,
    /// Runners that know what their instance is called.
    OwnName,
}
use Needs::*;

impl Known {
    pub(super) fn is_for(&self, kind: HostKind, suite: &Conformance) -> bool {
        match self.needs {
            Nothing => true,
            OwnProcess => kind != HostKind::Local,
            OwnName => kind == HostKind::Process && !suite.named_elsewhere,
        }
    }
}

macro_rules! known {
    ($($needs:ident: $name:ident),* $(,)?) => {
        &[$(Known {
            name: stringify!($name),
            needs: $needs,
            run: |scene| $name(scene).boxed(),
        }),*]
    };
}

pub(super) const ALL: &[Known] = known![
    Nothing: a_runner_dials_home_and_serves,
    Nothing: flame_parent_reaches_the_runner_unchanged,
    Nothing: instances_boot_side_by_side_under_names_of_their_own,
    OwnName: a_runner_calls_its_instance_as_its_backend_does,
    Nothing: stop_ends_an_instance_that_boots,
    Nothing: stop_ends_an_instance_that_serves,
    Nothing: stop_may_be_repeated,
    Nothing: watch_tells_of_an_end_in_good_order,
    OwnProcess: watch_tells_of_an_end_that_nobody_asked_for,
    Nothing: watch_of_the_dead_completes_for_everyone,
    Nothing: a_boot_that_never_dials_home_is_stopped,
    Nothing: a_lost_instance_is_replaced,
    Nothing: a_pool_calls_streams_and_drains,
    Nothing: a_pool_that_is_dropped_leaves_nothing,
];

/// `init` fails, early and with words, on the `nth` configuration that it must refuse.
pub(super) async fn init_refuses(suite: Arc<Conformance>, nth: usize) -> Result<(), Unfit> {
    let Some((what, make)) = suite.refused.get(nth) else { return Ok(()) };
    let scene = Scene::new(suite.clone(), Witness::of(make()));
    match scene.within("`init`", scene.pool().start()).await? {
        Err(PoolError::Backend(error)) => expect(!error.to_string().trim().is_empty(), || {
            format!("`init` refuses {what}, but does not say what is wrong")
        })?,
        Err(error) => {
            let error = whole(&error);
            return Err(Unfit::new(format!("the pool fails before it asks `init`: {error}")));
        }
        Ok(pool) => {
            scene.drain(pool).await?;
            return Err(Unfit::new(format!("`init` does not refuse {what}")));
        }
    }
    expect(scene.witness.boots().is_empty(), || "`init` fails, and yet boots".to_owned())
}

async fn a_runner_dials_home_and_serves(scene: &Scene) -> Result<(), Unfit> {
    let pool = scene.start(scene.pool()).await?;
    let answer = needed("the first call fails", pool.call(echo("hello".to_owned())).await)?;
    expect(answer == "hello", || format!("the first call gives {answer:?}"))?;
    scene.drain(pool).await
}

async fn flame_parent_reaches_the_runner_unchanged(scene: &Scene) -> Result<(), Unfit> {
    let pool = scene.start(scene.pool()).await?;
    let who = needed("the first call fails", pool.call(who()).await)?;
    let Boot { runner, flame_parent, .. } = scene.first_boot().await?;
    expect(who.runner == Some(runner), || {
        format!("{runner} was ordered, but {:?} has dialled home", who.runner)
    })?;
    // Where it comes another way, that the runner has proved its token must do.
    let in_environment = matches!(pool.shared().backend.kind(), HostKind::Process | HostKind::Ecs);
    match who.flame_parent {
        Some(found) => expect(found == flame_parent, || {
            let (found, given) = (found.len(), flame_parent.len());
            format!("FLAME_PARENT was changed: {given} characters were given, {found} arrived")
        })?,
        None => expect(!in_environment, || "FLAME_PARENT is not in the environment".to_owned())?,
    }
    scene.drain(pool).await
}

async fn instances_boot_side_by_side_under_names_of_their_own(scene: &Scene) -> Result<(), Unfit> {
    let pool = scene.pool().max(SIDE_BY_SIDE).max_concurrency(1);
    let pool = scene.start(pool).await?;
    // A child has its runner for itself, so each needs a boot.
    let children = join_all((0..SIDE_BY_SIDE).map(|_| pool.place_child(forever()))).await;
    let children = children.into_iter().map(|child| needed("one of several boots fails", child));
    let children = children.collect::<Result<Vec<_>, _>>()?;
    let boots = scene.witness.boots();
    let names: BTreeSet<_> = boots.iter().map(|boot| boot.instance.id.trim()).collect();
    expect(names.len() == boots.len() && !names.contains(""), || {
        format!("{} instances have these names: {names:?}", boots.len())
    })?;
    drop(children);
    scene.drain(pool).await
}

async fn a_runner_calls_its_instance_as_its_backend_does(scene: &Scene) -> Result<(), Unfit> {
    let pool = scene.start(scene.pool()).await?;
    let said = needed("the first call fails", pool.call(who()).await)?.process;
    let instance = scene.first_boot().await?.instance;
    expect(said == instance.id, || {
        format!(
            "the backend calls the instance `{instance}`, the runner calls it `{said}`: see \
             `Conformance::named_by_the_platform`"
        )
    })?;
    scene.drain(pool).await
}

async fn stop_ends_an_instance_that_boots(scene: &Scene) -> Result<(), Unfit> {
    let _nobody = nobody_home(scene).await?;
    let pool = scene.start(scene.pool().min(1)).await?;
    let Boot { instance, .. } = scene.first_boot().await?;
    scene.stop(&instance).await?;
    scene.death(&instance).await?;
    scene.drain(pool).await
}

async fn stop_ends_an_instance_that_serves(scene: &Scene) -> Result<(), Unfit> {
    let pool = scene.start(scene.pool()).await?;
    let child = needed("the first call fails", pool.place_child(forever()).await)?;
    let Boot { instance, .. } = scene.first_boot().await?;
    scene.stop(&instance).await?;
    scene.death(&instance).await?;
    match scene.within("the loss of a stopped runner", child.join()).await? {
        // Where the platform begins a stop with SIGTERM, the runner ends its calls by itself.
        Err(CallError::RunnerLost { started: true, .. } | CallError::Cancelled) => {}
        Err(error) => return Err(Unfit::new(format!("a call on a stopped runner gets: {error}"))),
        Ok(()) => return Err(Unfit::new("a call on a stopped runner ends as if nothing was")),
    }
    scene.drain(pool).await
}

async fn stop_may_be_repeated(scene: &Scene) -> Result<(), Unfit> {
    let pool = scene.start(scene.pool()).await?;
    needed("the first call fails", pool.call(echo(String::new())).await)?;
    let Boot { instance, .. } = scene.first_boot().await?;
    let (first, second) = tokio::join!(scene.stop(&instance), scene.stop(&instance));
    first.and(second)?;
    scene.death(&instance).await?;
    scene.stop(&instance).await?;
    scene.drain(pool).await
}

async fn watch_tells_of_an_end_in_good_order(scene: &Scene) -> Result<(), Unfit> {
    let pool = scene.start(scene.pool()).await?;
    needed("the first call fails", pool.call(echo(String::new())).await)?;
    let Boot { instance, .. } = scene.first_boot().await?;
    let death = scene.witness.backend().watch(&instance);
    scene.drain(pool).await?;
    let death = scene.within("`watch` of an instance that has ended", death).await?;
    expect(matches!(death.exit_code, None | Some(0)), || {
        format!("an instance that ends in good order has died so: {death:?}")
    })
}

async fn watch_tells_of_an_end_that_nobody_asked_for(scene: &Scene) -> Result<(), Unfit> {
    let pool = scene.start(scene.pool()).await?;
    needed("the first call fails", pool.call(echo(String::new())).await)?;
    let Boot { instance, .. } = scene.first_boot().await?;
    let death = scene.witness.backend().watch(&instance);
    match pool.call(exit(CODE)).await {
        Err(CallError::RunnerLost { started: true, .. }) => {}
        other => return Err(Unfit::new(format!("a call that ends its process gives {other:?}"))),
    }
    let death = scene.within("`watch` of an instance that has ended", death).await?;
    expect(!death.reason.trim().is_empty(), || "`watch` gives no reason".to_owned())?;
    expect(matches!(death.exit_code, None | Some(CODE)), || {
        format!("an instance that has exited with code {CODE} has died so: {death:?}")
    })?;
    scene.drain(pool).await
}

async fn watch_of_the_dead_completes_for_everyone(scene: &Scene) -> Result<(), Unfit> {
    let pool = scene.start(scene.pool()).await?;
    needed("the first call fails", pool.call(echo(String::new())).await)?;
    let Boot { instance, .. } = scene.first_boot().await?;
    let (early, other) = (scene.death(&instance), scene.death(&instance));
    let (stopped, early, other) = tokio::join!(scene.stop(&instance), early, other);
    stopped.and(early).and(other)?;
    scene.death(&instance).await?;
    scene.drain(pool).await
}

async fn a_boot_that_never_dials_home_is_stopped(scene: &Scene) -> Result<(), Unfit> {
    let _nobody = nobody_home(scene).await?;
    let pool = scene.start(scene.pool().boot_timeout(BRIEF)).await?;
    match pool.call(who()).await {
        Err(CallError::BootFailed(failure)) if failure.exit_code.is_none() => {}
        other => return Err(Unfit::new(format!("a call that needs such a boot gets {other:?}"))),
    }
    let Boot { instance, .. } = scene.first_boot().await?;
    scene.death(&instance).await?;
    scene.drain(pool).await
}

async fn a_lost_instance_is_replaced(scene: &Scene) -> Result<(), Unfit> {
    let pool = scene.start(scene.pool()).await?;
    let before = needed("the first call fails", pool.call(who()).await)?.runner;
    let Boot { instance, .. } = scene.first_boot().await?;
    let mut events = pool.events();
    scene.stop(&instance).await?;
    let lost = async {
        while let Some(event) = events.next().await {
            // Told to end by SIGTERM, it goes in good order.
            if matches!(event, Ok(PoolEvent::RunnerLost { .. } | PoolEvent::Shrink { .. })) {
                return;
            }
        }
    };
    scene.within("seeing that a stopped instance is lost", lost).await?;
    let after = needed("the call after a loss fails", pool.call(who()).await)?.runner;
    expect(after != before, || "a lost runner has served on".to_owned())?;
    scene.drain(pool).await
}

async fn a_pool_calls_streams_and_drains(scene: &Scene) -> Result<(), Unfit> {
    let pool = scene.start(scene.pool().max(2).max_concurrency(4)).await?;
    let works = (0..100).map(|n: u32| echo(n.to_string()));
    let texts: Vec<String> = needed("a call fails", pool.map(works).try_collect().await)?;
    expect(texts.iter().enumerate().all(|(n, text)| *text == n.to_string()), || {
        format!("a hundred calls give {texts:?}")
    })?;
    let items: Vec<u32> = needed("a stream fails", pool.stream(count(1000)).try_collect().await)?;
    expect(items.iter().copied().eq(0..1000), || format!("a stream gives {items:?}"))?;
    let other = pool.clone();
    scene.drain(pool).await?;
    let refused = other.call(echo(String::new())).await;
    expect(matches!(refused, Err(CallError::Draining)), || {
        format!("a call to a drained pool gets {refused:?}")
    })
}

async fn a_pool_that_is_dropped_leaves_nothing(scene: &Scene) -> Result<(), Unfit> {
    let pool = scene.start(scene.pool()).await?;
    needed("the first call fails", pool.call(echo(String::new())).await)?;
    drop(pool);
    scene.all_dead().await
}

/// Leads the boots that follow to an address where nobody answers, for as long as it is kept.
async fn nobody_home(scene: &Scene) -> Result<TcpListener, Unfit> {
    let silent = needed("no port for a silent listener", TcpListener::bind("127.0.0.1:0").await)?;
    let address = needed("a listener without address", silent.local_addr())?;
    scene.witness.lead_astray(format!("ws://{address}"));
    Ok(silent)
}
