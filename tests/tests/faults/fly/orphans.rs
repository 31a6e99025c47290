//! Machines that were left behind, which the sweep destroys, and machines that it must not destroy.

use std::time::Duration;

use flame_tests::fly::{Action, App};
use flame_tests::program::Program;
use flame_tests::{Test, demo, process, tests, until};

use super::{app, machine_of, pool_on};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        the_machines_of_a_killed_parent_are_destroyed_and_no_others_are,
        the_machines_of_a_parent_whose_machine_is_gone_are_destroyed,
        a_stray_and_an_overdue_machine_are_destroyed_unless_somebody_holds_the_lease,
    ]
}

const INTERVAL: Duration = Duration::from_millis(300);
const AGE: Duration = Duration::from_secs(1);

/// Starts a parent of its own, with one runner that hangs before it has any timer. Returns the
/// runner's machine.
async fn parent(app: &App, pool: &str, own_machine: &str) -> (Program, String) {
    let token = app.token();
    let variables = [
        ("DEMO_FLY_POOL", pool),
        ("DEMO_FLY_LISTEN", "[::1]:0"),
        ("FLY_FLAPS_BASE_URL", app.url()),
        ("FLY_APP_NAME", app.name()),
        ("FLY_IMAGE_REF", flame_tests::fly::IMAGE),
        ("FLY_API_TOKEN", &token),
        ("FLY_MACHINE_ID", own_machine),
    ];
    let before = app.machines();
    let parent = Program::start("fly_parent", &variables);
    let new = || app.machines().into_iter().find(|id| !before.contains(id));
    until("the parent boots a runner", || new().is_some()).await;
    (parent, new().unwrap())
}

async fn until_gone(app: &App, machine: &str) {
    until("the machine is gone", || !app.machines().iter().any(|id| id == machine)).await;
}

async fn the_machines_of_a_killed_parent_are_destroyed_and_no_others_are() {
    let app = app("swept");
    let (dead, orphan) = parent(&app, "fly", "").await;
    let (alive, owned) = parent(&app, "fly", "").await;
    let (other, foreign) = parent(&app, "another", "").await;
    let pool = pool_on(app.backend().sweep(INTERVAL, AGE)).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    dead.kill().await;
    other.kill().await;
    until_gone(&app, &orphan).await;

    // A further orphan is found by later scans, so the others had several chances to be destroyed.
    let (dead, orphan) = parent(&app, "fly", "").await;
    dead.kill().await;
    until_gone(&app, &orphan).await;
    let left = app.machines();
    assert!(left.contains(&owned), "its parent lives: {left:?}");
    assert!(left.contains(&foreign), "it is of another pool: {left:?}");
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4, "the pool's own runner lives");
    pool.drain().await;

    alive.kill().await;
    app.destroy_by_hand(&owned);
    app.destroy_by_hand(&foreign);
    app.until_no_machines().await;
}

async fn the_machines_of_a_parent_whose_machine_is_gone_are_destroyed() {
    let app = app("swept-by-machine");
    let machine = app.create_by_hand("parent", &[]);
    until("it runs", || app.pid(&machine).is_some()).await;
    let (parent, orphan) = parent(&app, "fly", &machine).await;
    let pool = pool_on(app.backend().sweep(INTERVAL, AGE)).start().await.unwrap();
    until("several scans", || app.requests(Action::List) > 8).await;
    assert!(app.machines().contains(&orphan), "its parent's machine runs");
    app.destroy_by_hand(&machine);
    until_gone(&app, &orphan).await;
    parent.kill().await;
    pool.drain().await;
    app.until_no_machines().await;
}

async fn a_stray_and_an_overdue_machine_are_destroyed_unless_somebody_holds_the_lease() {
    let app = app("strays");
    let pool = pool_on(app.backend().sweep(INTERVAL, AGE)).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let mine = app.metadata(&machine_of(&pool), "flame_parent").unwrap();
    let create = |name: &str, parent: &str, more: &[(&str, &str)]| {
        let own = [("flame_pool", "fly"), ("flame_runner", "f-1"), ("flame_parent", parent)];
        app.create_by_hand(name, &[&own, more].concat())
    };
    let stray = create("stray", &mine, &[]);
    let leased = create("leased", &mine, &[]);
    app.set_leased(&leased, true);
    let overdue = create("overdue", "p-another", &[("flame_ends_by", "1")]);
    let unknown = create("unknown", "p-another", &[]);
    let foreign = app.create_by_hand("foreign", &[("team", "another")]);
    for machine in [&stray, &leased, &overdue, &unknown, &foreign] {
        until("it runs", || app.pid(machine).is_some()).await;
    }
    until_gone(&app, &stray).await;
    until_gone(&app, &overdue).await;
    let left = app.machines();
    for (machine, why) in [
        (&leased, "somebody holds its lease"),
        (&unknown, "its parent may be alive"),
        (&foreign, "it is no runner"),
    ] {
        assert!(left.contains(machine), "{why}");
    }
    app.set_leased(&leased, false);
    until_gone(&app, &leased).await;
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4, "the pool's own runner lives");
    pool.drain().await;
    for machine in [unknown, foreign] {
        process::kill(app.pid(&machine).unwrap());
        app.destroy_by_hand(&machine);
    }
    app.until_no_machines().await;
}
