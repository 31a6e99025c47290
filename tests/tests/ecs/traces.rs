//! The trace of a call that waits for the boot of a task.

use std::time::Duration;

use flame_tests::emulator::EcsApp;
use flame_tests::otel::ExportedSpan;
use flame_tests::program::Program;
use flame_tests::{Test, emulated, tests};

pub(crate) fn tests() -> Vec<Test> {
    emulated(tests![the_parts_of_a_boot_that_ecs_reports_are_spans])
}

async fn the_parts_of_a_boot_that_ecs_reports_are_spans() {
    let app = EcsApp::new().await;
    let variables = app.account.variables();
    let variables: Vec<_> = variables.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let (printed, _) = Program::start("ecs_traced", &variables).finish().await;
    let spans: Vec<ExportedSpan> = serde_json::from_str(&printed).unwrap();
    let only = |name: &str| {
        let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
        let [span] = found[..] else { panic!("one span {name}: {spans:#?}") };
        span
    };
    let (call, connect) = (only("flame.call"), only("flame.connect"));
    assert_eq!((&connect.trace, &connect.parent), (&call.trace, &Some(call.id.clone())));
    let parts = ["flame.boot.provision", "flame.boot.pull", "flame.boot.start"].map(only);
    for part in parts {
        assert_eq!((&part.trace, &part.parent), (&call.trace, &Some(connect.id.clone())));
    }
    assert!(parts[0].began > only("flame.boot").began, "after the request: {spans:#?}");
    for [part, next] in parts.array_windows() {
        assert_eq!(part.ended, next.began, "{} ends where {} begins", part.name, next.name);
    }
    let took = parts.map(|part| part.ended.duration_since(part.began).unwrap());
    let tasks = app.tasks().await;
    let [task] = &tasks[..] else { panic!("one task: {tasks:?}") };
    let times =
        [task.created_at(), task.pull_started_at(), task.pull_stopped_at(), task.started_at()];
    let times = times.map(|time| Duration::from_secs_f64(time.unwrap().as_secs_f64()));
    for (took, [from, to]) in took.into_iter().zip(times.array_windows()) {
        let (is, reported) = (took.as_millis(), (*to - *from).as_millis());
        assert!(is.abs_diff(reported) <= 1, "{is} ms, and ECS says {reported} ms");
    }
}
