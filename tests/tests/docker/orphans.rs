//! Containers that were left behind, which the sweep removes, and containers that it must not
//! remove.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::CreateContainerOptions;
use flame_tests::program::Program;
use flame_tests::{Test, demo, docker, tests};

use crate::common::pool_on;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        the_containers_of_a_killed_parent_are_removed_and_no_others_are,
        a_stray_and_an_overdue_container_are_removed,
    ]
}

const INTERVAL: Duration = Duration::from_millis(300);
const AGE: Duration = Duration::from_secs(1);

/// Starts a parent of its own, with one runner that hangs before it has any timer. Returns the
/// runner's container.
async fn parent(engine: &docker::Engine, pool: &str) -> (Program, String) {
    let variables = [
        ("DEMO_DOCKER_HOST", engine.host()),
        ("DEMO_DOCKER_IMAGE", engine.image()),
        ("DEMO_DOCKER_POOL", pool),
    ];
    let before = engine.with_label(&format!("flame:pool={pool}")).await;
    let parent = Program::start("docker_parent", &variables);
    let waiting = async {
        loop {
            let now = engine.with_label(&format!("flame:pool={pool}")).await;
            if let Some(new) = now.into_iter().find(|name| !before.contains(name)) {
                return new;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let container = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    (parent, container.expect("the parent boots a runner"))
}

async fn until_removed(engine: &docker::Engine, container: &str) {
    let waiting = async {
        while engine.containers().await.iter().any(|name| name == container) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    waited.unwrap_or_else(|_| panic!("{container} was not removed"));
}

async fn the_containers_of_a_killed_parent_are_removed_and_no_others_are() {
    let engine = docker::shared();
    let (dead, orphan) = parent(&engine, "swept").await;
    let (alive, owned) = parent(&engine, "swept").await;
    let (other, foreign) = parent(&engine, "other").await;
    let backend = engine.backend().sweep(INTERVAL, AGE);
    let pool = pool_on("swept", backend).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    dead.kill().await;
    other.kill().await;
    until_removed(&engine, &orphan).await;

    // A further orphan is found by later scans, so the others had several chances to be removed.
    let (dead, orphan) = parent(&engine, "swept").await;
    dead.kill().await;
    until_removed(&engine, &orphan).await;
    let left = engine.containers().await;
    assert!(left.contains(&owned), "its parent lives: {left:?}");
    assert!(left.contains(&foreign), "it is of another pool: {left:?}");
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4, "the pool's own runner lives");
    pool.drain().await;

    alive.kill().await;
    for pool in ["swept", "other"] {
        let sweeping = pool_on(pool, engine.backend().sweep(INTERVAL, AGE));
        let sweeping = sweeping.start().await.unwrap();
        let container = if pool == "swept" { &owned } else { &foreign };
        until_removed(&engine, container).await;
        sweeping.drain().await;
    }
}

async fn a_stray_and_an_overdue_container_are_removed() {
    let engine = docker::shared();
    let pool = pool_on("strays", engine.backend().sweep(INTERVAL, AGE)).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let name = pool.snapshot().runners[0].instance.clone().unwrap();
    let container = engine.client().inspect_container(&name, None).await.unwrap();
    let labels = container.config.unwrap().labels.unwrap();
    let mine = labels.get("flame:parent").unwrap();

    let stray = create(&engine, "stray", &[("flame:parent", mine)]).await;
    let others = ("flame:parent", "p-another");
    let overdue = create(&engine, "overdue", &[others, ("flame:ends-by", "1")]).await;
    let unknown = create(&engine, "unknown", &[others]).await;
    until_removed(&engine, &stray).await;
    until_removed(&engine, &overdue).await;
    assert!(engine.containers().await.contains(&unknown), "its parent may be alive");
    pool.drain().await;
    let force =
        bollard::query_parameters::RemoveContainerOptions { force: true, ..Default::default() };
    engine.client().remove_container(&unknown, Some(force)).await.unwrap();
}

/// Creates and starts a container with the labels of a runner and these.
async fn create(engine: &docker::Engine, name: &str, labels: &[(&str, &str)]) -> String {
    let runner = [("flame:pool", "strays"), ("flame:runner", "f-1")];
    let labels = runner.iter().chain(labels);
    let labels: HashMap<_, _> =
        labels.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let container = ContainerCreateBody {
        image: Some(engine.image().to_owned()),
        cmd: Some(vec!["/usr/bin/sleep".to_owned(), "600".to_owned()]),
        labels: Some(labels),
        host_config: Some(HostConfig {
            binds: Some(docker::mounts("/usr/bin/sleep")),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let name = format!("flame-{name}");
    let options = CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
    let client = engine.client();
    client.create_container(Some(options), container).await.unwrap();
    client.start_container(&name, None).await.unwrap();
    name
}
