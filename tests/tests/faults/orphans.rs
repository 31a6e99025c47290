//! Parents that are killed: no child outlives them, whatever it is at.

use flame_tests::process::{is_gone, until_gone, with_variable};
use flame_tests::program::Program;
use flame_tests::{Test, tests, until};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_killed_parent_leaves_no_child_idle_busy_stopped_or_booting,
        a_killed_parent_leaves_no_grandchild,
        a_parent_killed_while_it_boots_leaves_no_child,
        a_parent_that_ends_leaves_no_child,
    ]
}

async fn a_killed_parent_leaves_no_child_idle_busy_stopped_or_booting() {
    let mut parent = Program::start("family", &[]);
    let children = parent.until_ready().await;
    let kinds: Vec<&str> = children.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["idle", "busy", "stopped", "booting"]);
    let pids: Vec<u32> = children.iter().map(|(_, pid)| *pid).collect();
    assert!(pids.iter().all(|pid| !is_gone(*pid)), "{children:?}");
    parent.kill().await;
    until_gone(&pids).await;
}

async fn a_killed_parent_leaves_no_grandchild() {
    let mut parent = Program::start("dynasty", &[]);
    let descendants = parent.until_ready().await;
    let pids: Vec<u32> = descendants.iter().map(|(_, pid)| *pid).collect();
    assert_eq!(pids.len(), 2);
    parent.kill().await;
    until_gone(&pids).await;
}

async fn a_parent_killed_while_it_boots_leaves_no_child() {
    for round in 0..10 {
        let mark = format!("{}-{round}", std::process::id());
        let mut parent = Program::start("booting", &[("DEMO_MARK", &mark)]);
        parent.until_ready().await;
        until("it has children", || with_variable("DEMO_MARK", &mark).len() > 2).await;
        parent.kill().await;
        until("none is left", || with_variable("DEMO_MARK", &mark).is_empty()).await;
    }
}

async fn a_parent_that_ends_leaves_no_child() {
    let mark = format!("{}-ends", std::process::id());
    let parent = Program::start("leaves", &[("DEMO_MARK", &mark)]);
    let (printed, _) = parent.finish().await;
    assert_eq!(printed, "leaves\n");
    until("none is left", || with_variable("DEMO_MARK", &mark).is_empty()).await;
}
