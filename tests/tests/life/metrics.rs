//! Metrics of real child processes, and where they are sent.

use std::collections::BTreeSet;
use std::time::Duration;

use flame_aws::backend::Process;
use flame_aws::metrics::{Facade, METRICS};
use flame_aws::{CallError, Pool};
use flame_tests::demo::gates::{self, Gate};
use flame_tests::demo::misbehaving;
use flame_tests::metrics::{
    OF_AWS, OF_PROCESSES, SeenSeries, cloudwatch_names, documents, of_process, sum,
};
use flame_tests::program::Program;
use flame_tests::proxy::Network;
use flame_tests::{TempDir, Test, demo, pool_behind_proxy, process_pool, tests, until};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        each_metric_of_processes_is_emitted_by_a_real_scenario,
        lines_of_the_log_that_are_dropped_are_counted,
        metrics_are_whole_lines_of_json_between_the_lines_of_the_app,
        metrics_reach_an_exporter_of_the_facade,
    ]
}

const MINUTE: Duration = Duration::from_secs(60);

async fn each_metric_of_processes_is_emitted_by_a_real_scenario() {
    let all = METRICS.iter().map(|metric| metric.name).collect::<BTreeSet<_>>();
    let listed: BTreeSet<_> = OF_PROCESSES.iter().chain(&OF_AWS).copied().collect();
    assert_eq!(listed, all, "every metric belongs to the scenario of one suite");
    let (pools, mut seen) = (["metered", "failing"], SeenSeries::default());

    let make = || {
        process_pool("metered").max(1).max_concurrency(1).timeout(None).reconnect_timeout(MINUTE)
    };
    let (pool, proxy) = pool_behind_proxy(make, 1).await;
    let (mut gate, begun, open) = Gate::new();
    let busy = tokio::spawn(pool.call(gates::gated(begun, open)));
    gate.entered().await;
    let queued = tokio::spawn(pool.call(demo::double(1)));
    until("a call waits", || pool.snapshot().queued == 1).await;
    seen.look(&pools);
    gate.open();
    busy.await.unwrap().unwrap().unwrap();
    assert_eq!(queued.await.unwrap().unwrap(), 2);
    seen.look(&pools);

    proxy.set(Network::Cuts(2_000..300_000));
    while !seen.names().contains("flame.runner.reconnects") {
        pool.call(demo::echo(demo::bytes(200_000))).await.unwrap();
        seen.look(&pools);
    }
    proxy.set(Network::Normal);

    let refusals = of_process("flame.listener.refusals");
    let mut stranger =
        TcpStream::connect(proxy.address().trim_start_matches("ws://")).await.unwrap();
    stranger.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let _ = stranger.read_to_end(&mut Vec::new()).await;
    until("the stranger is counted", || of_process("flame.listener.refusals") > refusals).await;

    let (_gate, begun, open) = Gate::new();
    let late = pool.call(gates::gated(begun, open).timeout(Duration::from_millis(50))).await;
    assert!(late.unwrap_err().is_timeout());
    let panicked = pool.call(demo::panics("as the test asks")).await;
    assert!(matches!(panicked, Err(CallError::Panicked { .. })), "{panicked:?}");
    let lost = pool.call(misbehaving::dies()).await;
    assert!(matches!(lost, Err(CallError::RunnerLost { .. })), "{lost:?}");
    let failing = process_pool("failing").backend(Process::new().env("DEMO_EXIT_IN_BOOT", "7"));
    let failing = failing.start().await.unwrap();
    let failed = failing.call(demo::double(1)).await;
    assert!(matches!(failed, Err(CallError::BootFailed(_))), "{failed:?}");
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
    pool.drain().await;
    failing.drain().await;
    seen.look(&pools);

    let expected = OF_PROCESSES.iter().copied();
    // Another test sees this one.
    let expected = expected.filter(|name| *name != "flame.log.dropped");
    let of_process = BTreeSet::from(["flame.listener.refusals"]);
    assert_eq!(
        seen.names().union(&of_process).copied().collect::<BTreeSet<_>>(),
        expected.collect()
    );
    for series in [
        ("flame.runners", Some("active")),
        ("flame.calls", Some("ok")),
        ("flame.calls", Some("timeout")),
        ("flame.calls", Some("panicked")),
        ("flame.calls", Some("runner_lost")),
        ("flame.calls", Some("boot_failed")),
        ("flame.call.duration", Some("queue")),
        ("flame.call.duration", Some("run")),
        ("flame.call.duration", Some("reply")),
        ("flame.boot.duration", Some("connect")),
        ("flame.boot.failures", Some("died")),
        ("flame.runner.exits", Some("lost")),
        ("flame.runner.exits", Some("pool_drain")),
        ("flame.link.bytes", Some("sent")),
        ("flame.link.bytes", Some("received")),
    ] {
        assert!(seen.0.contains(&series), "{series:?} is not among {:?}", seen.0);
    }
}

async fn lines_of_the_log_that_are_dropped_are_counted() {
    let (folder, lines) = (TempDir::new(), 50_000);
    let keeps_running = folder.path().join("keeps running");
    std::fs::write(&keeps_running, "").unwrap();
    let (count, file) = (lines.to_string(), keeps_running.to_str().unwrap());
    let variables =
        [("DEMO_EMF", "1"), ("DEMO_LINES", count.as_str()), ("DEMO_STAY_WHILE_EXISTS", file)];
    let mut program = Program::start("child_floods_the_log", &variables);
    program.until_ready().await;
    std::fs::remove_file(&keeps_running).unwrap();
    let (printed, logged) = program.finish().await;
    let dropped = sum(&documents(&printed), &["App"], "flame.log.dropped");
    let read = logged.lines().filter(|line| line.contains("line ")).count() as f64;
    assert!(dropped > 0.0, "{printed}");
    assert!(read + dropped >= f64::from(lines), "{read} read, {dropped} dropped");
}

async fn metrics_are_whole_lines_of_json_between_the_lines_of_the_app() {
    let (printed, logged) =
        Program::start("prints_beside_metrics", &[("DEMO_EMF", "1")]).finish().await;
    let documents = documents(&printed);
    let of_app = printed.lines().filter(|line| line.starts_with("line ") && line.ends_with(" app"));
    assert_eq!(of_app.count(), 10_000);
    assert_eq!(printed.lines().count(), 10_000 + documents.len());
    // A runner has the same `App`, and sends nothing.
    assert!(!logged.contains("_aws"), "{logged}");
    for dimensions in [&["App", "Pool"][..], &["App", "Pool", "Backend"]] {
        assert_eq!(sum(&documents, dimensions, "flame.calls.ok"), 3.0, "{documents:?}");
        assert_eq!(sum(&documents, dimensions, "flame.runner.exits.pool_drain"), 1.0);
    }
    let known = cloudwatch_names();
    for document in &documents {
        assert_eq!(document["_aws"]["CloudWatchMetrics"][0]["Namespace"], "Flame");
        let metrics = document["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        assert!(!metrics.is_empty());
        for metric in metrics {
            let name = metric["Name"].as_str().unwrap();
            assert!(known.contains(name), "{name} is not in the table");
            assert!(document.get(name).is_some(), "{name} has no value");
        }
    }
    let queue = &documents.iter().find(|document| document["Pool"] == "measured").unwrap();
    assert_eq!(queue["flame.call.duration.run"]["Count"], 3);
}

/// Makes this many calls in a pool of its own.
async fn calls_in_a_pool(calls: u32) {
    let pool: Pool = process_pool("exported").max(1).start().await.unwrap();
    for n in 0..calls {
        pool.call(demo::double(n)).await.unwrap();
    }
    pool.drain().await;
}

/// The value of the line with this name and all of these labels.
fn exported(rendered: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let line = rendered.lines().find(|line| {
        line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label))
    });
    line?.rsplit_once(' ')?.1.parse().ok()
}

async fn metrics_reach_an_exporter_of_the_facade() {
    let exporter = PrometheusBuilder::new().install_recorder().unwrap();
    let sink = Facade::new().start().await.unwrap();
    let labels = ["pool=\"exported\"", "backend=\"process\""];
    let ok = [labels.as_slice(), &["outcome=\"ok\""]].concat();
    calls_in_a_pool(3).await;
    sink.flush().await.unwrap();
    assert_eq!(exported(&exporter.render(), "flame_calls", &ok), Some(3.0));
    // Another pool of the same name goes on where the first one has ended.
    calls_in_a_pool(2).await;
    sink.flush().await.unwrap();
    let rendered = exporter.render();
    assert_eq!(exported(&rendered, "flame_calls", &ok), Some(5.0), "{rendered}");
    let run = [labels.as_slice(), &["phase=\"run\""]].concat();
    assert_eq!(exported(&rendered, "flame_call_duration_count", &run), Some(5.0), "{rendered}");
    let idle = [labels.as_slice(), &["state=\"idle\""]].concat();
    assert_eq!(exported(&rendered, "flame_runners", &idle), Some(0.0), "{rendered}");

    let known: BTreeSet<_> = METRICS.iter().map(|metric| metric.name.replace('.', "_")).collect();
    let types = rendered.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    for name in types.filter_map(|line| line.split(' ').next()) {
        assert!(known.contains(name), "{name} is not in the table");
    }
    for name in ["flame_queue_length", "flame_link_bytes", "flame_boot_duration"] {
        assert!(rendered.contains(&format!("# TYPE {name} ")), "{rendered}");
        assert!(rendered.contains(&format!("# HELP {name} ")), "{rendered}");
    }
}
