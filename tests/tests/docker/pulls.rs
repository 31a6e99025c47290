//! Pulls of images from a real registry.

use flame_aws::backend::PullPolicy;
use flame_tests::docker::{Engine, PASSWORD, Podman, Registry, USER};
use flame_tests::program::Program;
use flame_tests::proxy::{Network, Proxy};
use flame_tests::{Test, demo, tests};

use crate::common::{in_background, pool_on, start_error};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        an_image_is_pulled_once_and_the_log_says_so,
        a_pull_at_every_start_notices_a_tag_that_has_moved,
        a_pull_needs_the_registrys_credentials,
        the_log_says_how_far_a_pull_is,
        a_registry_that_is_lost_during_a_pull_fails_the_start,
    ]
}

const KIB: usize = 1024;

/// An engine that may pull from registries at these addresses.
fn engine(registries: &[&str]) -> (Podman, Engine) {
    in_background(|| {
        let podman = Podman::with_registries(registries).unwrap();
        let engine = podman.engine().unwrap();
        (podman, engine)
    })
}

/// Runs a program whose pool takes this image.
fn app(engine: &Engine, image: &str) -> Program {
    let variables = [
        ("DOCKER_HOST", engine.host()),
        ("FLAME_DOCKER_IMAGE", image),
        ("DEMO_DOCKER_POOL", "pulled"),
        ("DEMO_TRACE", "info"),
    ];
    Program::start("docker_app", &variables)
}

async fn an_image_is_pulled_once_and_the_log_says_so() {
    let mut registry = in_background(Registry::start);
    let (_podman, engine) = engine(&[registry.address()]);
    let (image, layer) = (registry.image(), engine.publish(&registry, 64 * KIB).await);
    let (printed, log) = app(&engine, &image).finish().await;
    assert_eq!(printed.trim(), "42");
    assert_eq!(engine.layer(&image).await, layer);
    let begin = log.find(&format!("pulling the image {image}")).unwrap();
    assert!(begin < log.find(&format!("pulled the image {image} in")).unwrap(), "{log}");

    // The image is there now, so the registry is not needed.
    registry.stop();
    let (printed, log) = app(&engine, &image).finish().await;
    assert_eq!(printed.trim(), "42");
    assert!(!log.contains("the image"), "{log}");
}

async fn a_pull_at_every_start_notices_a_tag_that_has_moved() {
    let mut registry = in_background(Registry::start);
    let (_podman, engine) = engine(&[registry.address()]);
    let image = registry.image();
    let with = |policy| pool_on("moved", engine.backend().image(&image).pull(policy));
    let used = async |policy| {
        let pool = with(policy).start().await.unwrap();
        assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
        let container = pool.snapshot().runners[0].instance.clone().unwrap();
        let container = engine.client().inspect_container(&container, None).await.unwrap();
        pool.drain().await;
        engine.layer(&container.image.unwrap()).await
    };
    let first = engine.publish(&registry, 64 * KIB).await;
    assert_eq!(used(PullPolicy::Missing).await, first);
    let second = engine.publish(&registry, 64 * KIB).await;
    assert_ne!(first, second);
    assert_eq!(used(PullPolicy::Missing).await, first);
    assert_eq!(used(PullPolicy::Never).await, first);
    assert_eq!(used(PullPolicy::Always).await, second);

    registry.stop();
    assert_eq!(used(PullPolicy::Missing).await, second);
    let error = start_error(with(PullPolicy::Always)).await;
    assert!(error.contains(&format!("pulling the image {image} failed")), "{error}");
    assert!(error.contains("can't reach the image's registry"), "{error}");
}

async fn a_pull_needs_the_registrys_credentials() {
    let registry = in_background(Registry::start);
    let guarded = in_background(|| registry.with_password());
    let (_podman, engine) = engine(&[registry.address(), guarded.address()]);
    engine.publish(&registry, 64 * KIB).await;
    let image = guarded.image();
    let backend = || engine.backend().image(&image);
    for refused in [backend(), backend().credentials(USER, "hunter2")] {
        let error = start_error(pool_on("test", refused)).await;
        assert!(error.contains(&format!("pulling the image {image} failed")), "{error}");
        assert!(error.contains("set `.credentials(..)`"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let pool = pool_on("login", backend().credentials(USER, PASSWORD)).start().await.unwrap();
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
    pool.drain().await;
}

/// A program that pulls an image, which would take minutes.
struct SlowPull {
    _registry: Registry,
    network: Proxy,
    _podman: Podman,
    engine: Engine,
    image: String,
    program: Program,
}

impl SlowPull {
    async fn start() -> Self {
        let registry = in_background(Registry::start);
        let network = Proxy::start(registry.address().parse().unwrap(), 0).await;
        let address = network.address().replace("ws://", "");
        let (podman, engine) = engine(&[registry.address(), &address]);
        engine.publish(&registry, 8 * KIB * KIB).await;
        network.set(Network::Trickle(512));
        let image = registry.image().replace(registry.address(), &address);
        let program = app(&engine, &image);
        Self { _registry: registry, network, _podman: podman, engine, image, program }
    }

    /// Waits until the log says how far the pull is.
    async fn is_under_way(&mut self) -> String {
        let progress = format!("pulling the image {}: 0 of ", self.image);
        let is_told = |log: &str| log.contains(&progress) && log.contains(" MB");
        self.program.read_stderr_until(is_told).await
    }
}

async fn the_log_says_how_far_a_pull_is() {
    let mut pull = SlowPull::start().await;
    let log = pull.is_under_way().await;
    assert!(!log.contains("pulled the image"), "{log}");
    pull.network.set(Network::Normal);
    let (printed, log) = pull.program.finish().await;
    assert_eq!(printed.trim(), "42");
    assert!(log.contains(&format!("pulled the image {} in", pull.image)), "{log}");
}

async fn a_registry_that_is_lost_during_a_pull_fails_the_start() {
    let mut pull = SlowPull::start().await;
    pull.is_under_way().await;
    pull.network.set(Network::Down);
    let (engine, image) = (&pull.engine, &pull.image);
    let log = pull.program.fail().await;
    assert!(log.contains(&format!("pulling the image {image} failed")), "{log}");
    assert!(log.contains("can't reach the image's registry"), "{log}");
    let never = engine.backend().image(image).pull(PullPolicy::Never);
    let error = start_error(pool_on("lost", never)).await;
    assert!(error.contains("has no image"), "a part of an image is no image: {error}");
}
