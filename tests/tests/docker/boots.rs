//! Boots that fail. None leaves a container.

use flame_aws::BootFailureKind;
use flame_tests::{Test, docker, tests};

use crate::common::{boot_failure, pool_on};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        an_app_that_exits_is_reported_with_its_exit_code_and_its_last_lines,
        a_program_that_is_not_in_the_image_is_a_misconfiguration,
        a_program_that_is_no_runner_is_explained,
        a_runner_that_hangs_in_its_boot_is_removed,
        an_image_that_is_removed_later_fails_the_boot,
    ]
}

async fn an_app_that_exits_is_reported_with_its_exit_code_and_its_last_lines() {
    let engine = docker::shared();
    let backend = engine.backend().env("DEMO_EXIT_IN_BOOT", "7");
    let pool = pool_on("exits", backend).start().await.unwrap();
    let failure = boot_failure(&pool).await;
    assert_eq!((failure.kind, failure.exit_code), (BootFailureKind::Died, Some(7)), "{failure}");
    assert_eq!(failure.log_tail, ["the database is not there"]);
    pool.drain().await;
}

async fn a_program_that_is_not_in_the_image_is_a_misconfiguration() {
    let engine = docker::shared();
    let backend = engine.backend().command(["/nowhere/app"]);
    let pool = pool_on("nothing", backend).start().await.unwrap();
    let failure = boot_failure(&pool).await;
    // With an init program, it is the init program that does not find it.
    let text = failure.to_string();
    assert!(text.contains("/nowhere/app"), "{text}");
    pool.drain().await;

    let backend = engine.backend().command(["/nowhere/app"]).init(false);
    let pool = pool_on("nothing", backend).start().await.unwrap();
    let failure = boot_failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::Misconfigured, "{failure}");
    let text = failure.to_string();
    assert!(text.contains("starting the container failed") && text.contains(".command("), "{text}");
    pool.drain().await;
}

async fn a_program_that_is_no_runner_is_explained() {
    let backend = docker::shared().backend().command(["/usr/bin/true"]);
    let pool = pool_on("other", backend).start().await.unwrap();
    let failure = boot_failure(&pool).await;
    assert_eq!((failure.kind, failure.exit_code), (BootFailureKind::Died, Some(0)), "{failure}");
    assert!(failure.reason.contains("`main` does not reach `App::run`"), "{failure}");
    pool.drain().await;
}

async fn a_runner_that_hangs_in_its_boot_is_removed() {
    let engine = docker::shared();
    let backend = engine.backend().env("DEMO_HANG_IN_BOOT", "1");
    let pool = pool_on("hangs", backend).boot_timeout(std::time::Duration::from_secs(2));
    let pool = pool.start().await.unwrap();
    let failure = boot_failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::TimedOut, "{failure}");
    assert!(failure.reason.contains("firewall"), "{failure}");
    pool.drain().await;
}

async fn an_image_that_is_removed_later_fails_the_boot() {
    let engine = docker::shared();
    let client = engine.client();
    // Another name of the same image.
    let name = bollard::query_parameters::TagImageOptions {
        repo: Some("localhost/removed".to_owned()),
        tag: Some("1".to_owned()),
    };
    client.tag_image(engine.image(), Some(name)).await.unwrap();
    let backend = engine.backend().image("localhost/removed:1");
    let pool = pool_on("removed", backend).start().await.unwrap();
    let options = None::<bollard::query_parameters::RemoveImageOptions>;
    client.remove_image("localhost/removed:1", options, None).await.unwrap();
    let failure = boot_failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::Misconfigured, "{failure}");
    assert!(failure.reason.contains("the image does not exist there"), "{failure}");
    pool.drain().await;
}
