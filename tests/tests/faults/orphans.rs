//! Parents that are killed: no child outlives its parent, whatever the child is doing.

use flame_tests::process::{is_gone, until_gone, with_variable};
use flame_tests::program::Program;
use flame_tests::{Test, tests, until};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_killed_parent_leaves_no_idle_busy_stopped_or_booting_child,
        a_killed_parent_leaves_no_grandchild,
        a_parent_killed_while_it_boots_children_leaves_none,
        a_parent_that_exits_leaves_no_child,
    ]
}

async fn a_killed_parent_leaves_no_idle_busy_stopped_or_booting_child() {
    let mut parent = Program::start("children_in_every_state", &[]);
    let children = parent.until_ready().await;
    let kinds: Vec<&str> = children.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["idle", "busy", "stopped", "booting"]);
    let pids: Vec<u32> = children.iter().map(|(_, pid)| *pid).collect();
    assert!(pids.iter().all(|pid| !is_gone(*pid)), "{children:?}");
    parent.kill().await;
    until_gone(&pids).await;
}

async fn a_killed_parent_leaves_no_grandchild() {
    let mut parent = Program::start("child_with_a_child", &[]);
    let descendants = parent.until_ready().await;
    let pids: Vec<u32> = descendants.iter().map(|(_, pid)| *pid).collect();
    assert_eq!(pids.len(), 2);
    parent.kill().await;
    until_gone(&pids).await;
}

async fn a_parent_killed_while_it_boots_children_leaves_none() {
    for round in 0..10 {
        let mark = format!("{}-{round}", std::process::id());
        let mut parent = Program::start("boots_without_end", &[("DEMO_MARK", &mark)]);
        parent.until_ready().await;
        until("the parent has children", || with_variable("DEMO_MARK", &mark).len() > 2).await;
        parent.kill().await;
        until("no process is left", || with_variable("DEMO_MARK", &mark).is_empty()).await;
    }
}

async fn a_parent_that_exits_leaves_no_child() {
    let mark = format!("{}-ends", std::process::id());
    let parent = Program::start("exits_with_live_children", &[("DEMO_MARK", &mark)]);
    let (printed, _) = parent.finish().await;
    assert_eq!(printed, "returning\n");
    until("no process is left", || with_variable("DEMO_MARK", &mark).is_empty()).await;
}
