use super::*;
use crate::backend::Docker;

const RUNNER: [u8; 16] = [7; 16];

fn container(options: DockerBuilder) -> ContainerCreateBody {
    let seconds = Duration::from_secs;
    let template = Template::new(&options, "app:1".to_owned(), "bridge".to_owned(), seconds(30));
    let owner = Owner {
        pool: "thumbs".to_owned(),
        parent: "p-1".to_owned(),
        place: Some("abc/".to_owned()),
    };
    template.container(&owner, RunnerRef::from_bytes(RUNNER), Some(1_800_000_000), "flame1.x")
}

#[test]
fn a_container_has_the_image_the_network_and_what_the_sweep_needs() {
    let container = container(Docker::builder());
    assert_eq!(container.image.as_deref(), Some("app:1"));
    assert_eq!(container.cmd, None, "the image's own command");
    assert_eq!(container.env.unwrap(), ["FLAME_PARENT=flame1.x", "FLAME_STOP_TIMEOUT=35"]);
    assert_eq!(container.stop_timeout, Some(35));
    let labels = container.labels.unwrap();
    let runner = RunnerRef::from_bytes(RUNNER).to_string();
    for (name, value) in [
        ("flame:pool", "thumbs"),
        ("flame:runner", &runner),
        ("flame:parent", "p-1"),
        ("flame:parent-place", "abc/"),
        ("flame:ends-by", "1800000000"),
    ] {
        assert_eq!(labels.get(name).map(String::as_str), Some(value), "{name}");
    }
    let host = container.host_config.unwrap();
    assert_eq!(host.network_mode.as_deref(), Some("bridge"));
    assert_eq!((host.init, host.memory, host.nano_cpus), (Some(true), None, None));
    assert_eq!((host.binds, host.device_requests), (None, None));
}

#[test]
fn each_option_has_its_place() {
    let options = Docker::builder()
        .command(["/app", "--quiet"])
        .cpus(0.5)
        .memory(512)
        .gpus(2)
        .env("ROLE", "runner")
        .label("team", "video")
        .bind("/models:/models:ro")
        .init(false);
    let container = container(options);
    assert_eq!(container.cmd.unwrap(), ["/app", "--quiet"]);
    assert!(container.env.unwrap().contains(&"ROLE=runner".to_owned()));
    assert_eq!(container.labels.unwrap().get("team").map(String::as_str), Some("video"));
    let host = container.host_config.unwrap();
    assert_eq!(host.nano_cpus, Some(500_000_000));
    assert_eq!((host.memory, host.memory_swap), (Some(512 << 20), Some(512 << 20)));
    assert_eq!(host.binds.unwrap(), ["/models:/models:ro"]);
    assert_eq!(host.init, Some(false));
    let [gpus] = host.device_requests.unwrap().try_into().unwrap();
    assert_eq!(gpus.count, Some(2));
    assert_eq!(gpus.capabilities.unwrap(), [["gpu"]]);
    let all = self::container(Docker::builder().all_gpus()).host_config.unwrap();
    assert_eq!(all.device_requests.unwrap()[0].count, Some(-1));
}

#[test]
fn every_impossible_option_is_named() {
    assert_eq!(
        problems(&Docker::builder().cpus(0.5).memory(64).label("a", "").bind("v:/x")),
        [""; 0]
    );
    for (options, problem) in [
        (Docker::builder().cpus(0.0), "`cpus` is 0"),
        (Docker::builder().cpus(f64::NAN), "`cpus` is NaN"),
        (Docker::builder().memory(0), "`memory` is 0"),
        (Docker::builder().gpus(0), "`gpus` is 0"),
        (Docker::builder().command([""; 0]), "`command` has no words"),
        (Docker::builder().env("FLAME_PARENT", "x"), "FLAME_PARENT, which the pool sets itself"),
        (Docker::builder().env("A=B", "x"), "the name `A=B`"),
        (Docker::builder().label("flame:pool", "x"), "the name `flame:pool`"),
        (Docker::builder().label("", "x"), "the name ``"),
        (Docker::builder().label("a", "1").label("a", "2"), "`a` twice"),
        (Docker::builder().bind("/models"), "`bind` is `/models`"),
    ] {
        let problems = problems(&options);
        assert!(problems.len() == 1 && problems[0].contains(problem), "{problem}: {problems:?}");
    }
}
