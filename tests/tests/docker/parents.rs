//! Where the parent runs, and what it keeps secret.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::CreateContainerOptions;
use flame_tests::program::Program;
use flame_tests::{Test, docker, tests};
use futures_util::StreamExt;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_parent_in_a_container_boots_runners_of_its_own_image_on_its_own_network,
        flame_parent_is_in_no_log,
    ]
}

async fn a_parent_in_a_container_boots_runners_of_its_own_image_on_its_own_network() {
    let engine = docker::shared();
    let suite = std::env::current_exe().unwrap();
    let suite = suite.to_str().unwrap();
    for (name, network) in [("bridged", "bridge"), ("on-host", "host")] {
        let socket = engine.host().strip_prefix("unix://").unwrap();
        let mut binds = docker::mounts(suite);
        binds.push(format!("{socket}:{socket}"));
        let variables = [
            ("DEMO_PROGRAM", "docker_app"),
            ("DOCKER_HOST", engine.host()),
            ("DEMO_DOCKER_POOL", name),
        ];
        let container = ContainerCreateBody {
            image: Some(engine.image().to_owned()),
            cmd: Some(vec![suite.to_owned()]),
            env: Some(variables.map(|(name, value)| format!("{name}={value}")).to_vec()),
            labels: Some(HashMap::new()),
            host_config: Some(HostConfig {
                binds: Some(binds),
                network_mode: Some(network.to_owned()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let client = engine.client();
        let options =
            CreateContainerOptions { name: Some(format!("parent-{name}")), ..Default::default() };
        let id = client.create_container(Some(options), container).await.unwrap().id;
        client.start_container(&id, None).await.unwrap();
        let exited = client.wait_container(&id, None).next().await;
        let logs = bollard::query_parameters::LogsOptions {
            stdout: true,
            stderr: true,
            ..Default::default()
        };
        let log: Vec<_> =
            client.logs(&id, Some(logs)).map(|line| line.unwrap().to_string()).collect().await;
        client.remove_container(&id, None).await.unwrap();
        assert!(exited.is_some_and(|exit| exit.is_ok_and(|exit| exit.status_code == 0)), "{log:?}");
        assert!(log.concat().contains("42"), "{log:?}");
    }
}

async fn flame_parent_is_in_no_log() {
    let engine = docker::shared();
    let variables = [
        ("DEMO_DOCKER_HOST", engine.host()),
        ("DEMO_DOCKER_IMAGE", engine.image()),
        ("DEMO_DOCKER_POOL", "secret"),
    ];
    let (printed, log) = Program::start("docker_secret", &variables).finish().await;
    let secret = printed.lines().next().expect("the program prints FLAME_PARENT");
    assert!(secret.starts_with("flame1."), "{printed}");
    assert!(log.contains("/containers/create"), "bollard's requests are in the log: {log}");
    // The container's death is not part of this: by then nobody accepts the token.
    let while_it_is_valid = log.split("flame-tests: the runner has connected").next().unwrap();
    assert!(!while_it_is_valid.contains(secret), "{while_it_is_valid}");
    assert!(!while_it_is_valid.contains("flame1."), "{while_it_is_valid}");
}
