//! Where the parent runs, and what it keeps secret.

use flame_tests::fly::{Action, App, IMAGE};
use flame_tests::program::Program;
use flame_tests::{Test, demo, tests};

use super::{app, machine_of, pool_on};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_parent_on_fly_needs_no_settings_but_the_token,
        a_parent_that_listens_on_ipv4_only_is_told_to_listen_on_ipv6,
        no_secret_is_in_any_log,
        the_token_is_not_passed_to_runners,
        a_pool_that_can_not_work_does_not_start,
    ]
}

/// Starts a program with the environment of a Fly Machine of this app.
fn on_fly(app: &App, program: &str, listen: &str) -> Program {
    let token = app.token();
    let variables = [
        ("DEMO_FLY_POOL", "fly"),
        ("DEMO_FLY_LISTEN", listen),
        ("FLY_FLAPS_BASE_URL", app.url()),
        ("FLY_APP_NAME", app.name()),
        ("FLY_IMAGE_REF", IMAGE),
        ("FLY_API_TOKEN", &token),
        ("FLY_MACHINE_ID", "148parent"),
        ("FLY_REGION", "ams"),
        ("FLY_PRIVATE_IP", "::1"),
    ];
    Program::start(program, &variables)
}

async fn a_parent_on_fly_needs_no_settings_but_the_token() {
    let app = app("from-env");
    let (printed, _) = on_fly(&app, "fly_app", "[::]:0").finish().await;
    assert_eq!(printed.trim(), "42");
    assert_eq!(app.created(), 1);
    app.until_no_machines().await;
}

async fn a_parent_that_listens_on_ipv4_only_is_told_to_listen_on_ipv6() {
    let app = app("ipv4");
    let (printed, _) = on_fly(&app, "fly_app", "0.0.0.0:0").finish().await;
    assert!(printed.contains("ws://0.0.0.0:") && printed.contains("on `[::]`"), "{printed}");
    assert_eq!(app.created(), 0);
}

async fn no_secret_is_in_any_log() {
    let app = app("secret");
    let (printed, log) = on_fly(&app, "fly_secret", "[::1]:0").finish().await;
    let secret = printed.lines().next().expect("the program prints FLAME_PARENT");
    assert!(secret.starts_with("flame1."), "{printed}");
    assert!(log.contains("reqwest") || log.contains("hyper"), "the client logs: {log}");
    assert!(!log.contains("hunter2"), "{log}");
    // The machine's death is not part of this: by then nobody accepts the token.
    let while_it_is_valid = log.split("flame-tests: the runner has connected").next().unwrap();
    assert!(!while_it_is_valid.contains(secret), "{while_it_is_valid}");
    assert!(!while_it_is_valid.contains("flame1."), "{while_it_is_valid}");
    app.until_no_machines().await;
}

async fn the_token_is_not_passed_to_runners() {
    let app = app("token");
    let pool = pool_on(app.backend().env("ROLE", "runner")).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let config = app.config(&machine_of(&pool)).to_string();
    assert!(config.contains("flame1.") && config.contains("ROLE"), "{config}");
    assert!(!config.contains("hunter2"), "{config}");
    pool.drain().await;
    app.until_no_machines().await;
}

async fn a_pool_that_can_not_work_does_not_start() {
    let app = app("wrong");
    for (backend, advice) in [
        (app.backend().app("nowhere"), "fly apps create"),
        (app.backend().token("nobody"), "fly tokens create deploy"),
        (app.backend().token(""), "fly tokens create deploy"),
        (app.backend().memory(300), "multiple of 256"),
        (app.backend().host("https://127.0.0.1:1"), ".host("),
        (app.backend().host("ftp://x"), "_api.internal"),
    ] {
        let error = match pool_on(backend).start().await {
            Err(flame_aws::PoolError::Backend(error)) => error.to_string(),
            other => panic!("{advice}: the start has to fail: {other:?}"),
        };
        assert!(error.contains(advice), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert_eq!(app.requests(Action::Create), 0);
}
