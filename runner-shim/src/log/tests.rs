use std::fmt;

use tokio::sync::mpsc::{Receiver, channel};
use tracing::subscriber::with_default;
use tracing::{Level as TracingLevel, debug, error, info, info_span, trace, warn};
use tracing_subscriber::Registry;

use flame_wire::ids::{CallId, RunnerRef};

use super::*;

/// Runs `work` with a log of this capacity and level. Returns its records, and the log's receiver.
fn logged_at(level: LevelFilter, room: usize, work: impl FnOnce()) -> Vec<LogMessage> {
    let (sink, mut records) = channel(room);
    let subscriber = Registry::default().with(RunnerLog::new(sink).with_filter(level));
    with_default(subscriber, work);
    drain(&mut records)
}

fn logged(work: impl FnOnce()) -> Vec<LogMessage> {
    logged_at(LevelFilter::TRACE, 100, work)
}

fn drain(records: &mut Receiver<LogMessage>) -> Vec<LogMessage> {
    std::iter::from_fn(|| records.try_recv().ok()).collect()
}

fn texts(records: &[LogMessage]) -> Vec<&str> {
    records.iter().map(|record| record.text.as_str()).collect()
}

#[test]
fn an_event_becomes_a_record_with_its_fields() {
    let records = logged(|| info!(target: "app::db", rows = 3, name = "x y", ok = true, "loaded"));
    let expected = LogMessage {
        call: None,
        level: Level::Info,
        target: "app::db".to_owned(),
        text: r#"loaded rows=3 name="x y" ok=true"#.to_owned(),
        dropped: 0,
    };
    assert_eq!(records, [expected]);
}

#[test]
fn an_event_may_have_only_fields_or_only_a_message() {
    let records = logged(|| {
        info!(target: "app", rows = 3);
        info!(target: "app", "done");
        info!(target: "app", message = "plain");
    });
    assert_eq!(texts(&records), ["rows=3", "done", "plain"]);
}

#[test]
fn an_error_is_recorded_with_its_sources() {
    #[derive(Debug, thiserror::Error)]
    #[error("can't load")]
    struct Load(#[source] io::Error);
    use std::{error::Error, io};
    let load = Load(io::Error::other("disk full"));
    let records = logged(|| error!(target: "app", error = &load as &dyn Error, "failed"));
    assert_eq!(texts(&records), ["failed error=can't load: disk full"]);
}

#[test]
fn every_level_is_sent_as_itself() {
    let records = logged(|| {
        error!(target: "app", "");
        warn!(target: "app", "");
        info!(target: "app", "");
        debug!(target: "app", "");
        trace!(target: "app", "");
    });
    let levels: Vec<_> = records.iter().map(|record| record.level).collect();
    assert_eq!(levels, [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace]);
}

#[test]
fn events_of_a_call_carry_its_id() {
    let records = logged(|| {
        info!(target: "app", "before");
        within(7, || {
            info!(target: "app", "directly");
            info_span!("inner", flame = 1).in_scope(|| info!(target: "app", "within"));
            within(8, || info!(target: "app", "nested call"));
        });
        info!(target: "app", "after");
    });
    let calls: Vec<_> = records.iter().map(|record| record.call).collect();
    assert_eq!(calls, [None, Some(7), Some(7), Some(8), None]);
}

#[test]
fn the_call_id_is_known_at_the_strictest_level_too() {
    let records = logged_at(LevelFilter::ERROR, 100, || {
        within(7, || {
            error!(target: "app", "failed");
            warn!(target: "app", "not sent");
        });
    });
    assert_eq!(records.len(), 1);
    assert_eq!(records.first().and_then(|record| record.call), Some(7));
}

/// As a runner runs a plain function.
fn within(call: u64, function: impl FnOnce()) {
    let context = CallContext {
        call: CallId(call),
        runner: RunnerRef::from_bytes([0; 16]),
        depth: 0,
        max_depth: 8,
        deadline: None,
        trace: None,
    };
    context.sync_scope(function);
}

#[test]
fn a_full_sink_never_blocks_and_reports_the_loss() {
    let (sink, mut records) = channel(2);
    let log = RunnerLog::new(sink);
    with_default(Registry::default().with(log), || {
        for number in 0..5 {
            info!(target: "app", number, "line");
        }
        assert_eq!(texts(&drain(&mut records)), ["line number=0", "line number=1"]);
        info!(target: "app", "again");
    });
    let rest = drain(&mut records);
    let notice = "3 log records were dropped: the link did not keep up";
    assert_eq!(texts(&rest), [notice, "again"]);
    assert_eq!(rest.first().map(|record| record.level), Some(Level::Warn));
    let counts: Vec<_> = rest.iter().map(|record| record.dropped).collect();
    assert_eq!(counts, [3, 0]);
}

#[test]
fn no_drop_is_counted_twice_or_forgotten() {
    let (sink, mut records) = channel(1);
    with_default(Registry::default().with(RunnerLog::new(sink)), || {
        info!(target: "app", "kept");
        info!(target: "app", "dropped");
        drain(&mut records);
        // There is room for one: the notice takes it, so this record is dropped as well.
        info!(target: "app", "dropped too");
        assert!(texts(&drain(&mut records)).concat().starts_with("1 log records"));
        info!(target: "app", "dropped as well");
        assert!(texts(&drain(&mut records)).concat().starts_with("1 log records"));
    });
}

#[test]
fn without_a_receiver_nothing_is_counted() {
    let (sink, records) = channel(1);
    drop(records);
    let log = RunnerLog::new(sink);
    log.sink.send(sink::dropped_notice(1));
    assert_eq!(log.dropped(), 0);
}

#[test]
fn the_log_goes_to_the_current_runner_and_no_record_to_the_next_one() {
    let sink = LogSink::default();
    with_default(Registry::default().with(RunnerLog::new(sink.clone())), || {
        info!(target: "app", "to nobody");
        let (first, mut records) = channel(1);
        let attached = sink.attach(first);
        info!(target: "app", "to the first");
        info!(target: "app", "lost");
        drop(attached);
        info!(target: "app", "to nobody again");
        assert_eq!(texts(&drain(&mut records)), ["to the first"]);
        let (second, mut records) = channel(10);
        let _attached = sink.attach(second);
        info!(target: "app", "to the second");
        assert_eq!(texts(&drain(&mut records)), ["to the second"]);
    });
}

#[test]
fn the_links_own_events_about_sending_are_not_sent() {
    let records = logged(|| {
        trace!(target: "flame_link::driver", "wrote a frame");
        debug!(target: "flame_runner_shim::log", "sent a record");
        debug!(target: "tokio_tungstenite", "flushed");
        info!(target: "flame_link::driver", "resumed");
        trace!(target: "flame_linker", "of the app");
        debug!(target: "app::flame_link", "of the app too");
    });
    assert_eq!(texts(&records), ["resumed", "of the app", "of the app too"]);
}

#[test]
fn an_event_within_an_event_is_dropped_and_counted() {
    struct Chatty;
    impl fmt::Debug for Chatty {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            info!(target: "app", inner = ?Chatty, "from within");
            f.write_str("chatty")
        }
    }
    // Calls the layer itself: tracing protects scoped subscribers against this, but not a global
    // one.
    let (sink, mut records) = channel(100);
    let log = RunnerLog::new(sink);
    let writing = RecursionGuard::begin().unwrap();
    assert!(RecursionGuard::begin().is_none());
    drop(writing);
    assert!(RecursionGuard::begin().is_some());
    with_default(Registry::default().with(log), || info!(target: "app", value = ?Chatty, "outer"));
    assert_eq!(texts(&drain(&mut records)), ["outer value=chatty"]);
}

#[test]
fn a_value_that_panics_while_it_is_recorded_does_not_silence_the_log() {
    struct Bomb;
    impl fmt::Debug for Bomb {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("in a Debug")
        }
    }
    let records = logged(|| {
        let _ = std::panic::catch_unwind(|| info!(target: "app", value = ?Bomb, "lost"));
        info!(target: "app", "still here");
    });
    assert_eq!(texts(&records), ["still here"]);
}

#[test]
fn a_value_that_writes_endlessly_costs_one_record() {
    struct Endless;
    impl fmt::Debug for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            loop {
                f.write_str("äöü")?;
            }
        }
    }
    let records = logged(|| info!(target: "app", value = ?Endless, "endless"));
    let text = records.first().map(|record| record.text.as_str()).unwrap_or_default();
    assert!(text.starts_with("endless value=äöü") && text.ends_with("…"));
    assert!((MAX_LOG_TEXT - 8..=MAX_LOG_TEXT).contains(&text.len()), "{}", text.len());
}

#[test]
fn a_level_is_read_from_its_name_or_rejected_with_the_valid_names() {
    for (name, expected) in [
        ("", LevelFilter::INFO),
        ("off", LevelFilter::OFF),
        ("error", LevelFilter::ERROR),
        ("WARN", LevelFilter::WARN),
        ("Debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ] {
        assert_eq!(level(name), Ok(expected), "{name}");
    }
    for name in ["loud", "3", "info,hyper=warn", " info"] {
        let error = level(name).unwrap_err();
        assert!(error.to_string().contains("use error, warn, info"), "{error}");
    }
}

#[test]
fn tracings_levels_are_ordered_as_the_filter_assumes() {
    assert!(TracingLevel::TRACE > TracingLevel::DEBUG && TracingLevel::DEBUG > TracingLevel::INFO);
}

#[cfg(target_os = "linux")]
mod installed {
    //! A subscriber is installed for a whole process, so these tests start this executable again.

    use std::process::Command;

    use super::*;

    const PART: &str = "FLAME_TEST_LOG_PART";

    fn play(level: &str, part: &str) -> String {
        let output = Command::new("/proc/self/exe")
            .args(["--exact", "--nocapture", "--test-threads=1"])
            .arg(format!("log::tests::installed::as_{part}"))
            .env(PART, part)
            .env(ENV, level)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn plays(part: &str) -> bool {
        std::env::var_os(PART).is_some_and(|name| name == part)
    }

    #[test]
    fn as_app_without_a_subscriber() {
        if plays("app_without_a_subscriber") {
            let (sink, mut records) = channel(10);
            assert!(install_if_unset(sink.clone()));
            assert!(!install_if_unset(sink), "it is installed once");
            info!(target: "app", "info");
            debug!(target: "app", "debug");
            println!("records: {:?}", texts(&drain(&mut records)));
        }
    }

    #[test]
    fn as_app_with_a_subscriber() {
        if plays("app_with_a_subscriber") {
            tracing::subscriber::set_global_default(Registry::default()).unwrap();
            let (sink, _records) = channel(10);
            println!("installed: {}", install_if_unset(sink));
        }
    }

    /// tracing protects scoped subscribers against events within events, but not a global one.
    #[test]
    fn as_app_that_logs_while_it_logs() {
        if plays("app_that_logs_while_it_logs") {
            struct Chatty;
            impl fmt::Debug for Chatty {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    info!(target: "app", inner = ?Chatty, "within");
                    f.write_str("chatty")
                }
            }
            let (sink, mut records) = channel(10);
            assert!(install_if_unset(sink));
            info!(target: "app", value = ?Chatty, "outer");
            println!("records: {:?}", texts(&drain(&mut records)));
        }
    }

    #[test]
    fn a_runner_without_a_subscriber_gets_one_with_the_level_of_the_variable() {
        let said = play("", "app_without_a_subscriber");
        assert!(said.contains(r#"records: ["info"]"#), "{said}");
        let said = play("debug", "app_without_a_subscriber");
        assert!(said.contains(r#"records: ["info", "debug"]"#), "{said}");
    }

    #[test]
    fn an_invalid_level_means_info_and_is_reported() {
        let said = play("loud", "app_without_a_subscriber");
        assert!(said.contains("is not a level; use error"), "{said}");
        assert!(said.contains(r#""info"]"#), "{said}");
    }

    #[test]
    fn the_apps_own_subscriber_is_left_alone() {
        let said = play("", "app_with_a_subscriber");
        assert!(said.contains("installed: false"), "{said}");
    }

    #[test]
    fn logging_while_logging_neither_recurses_nor_goes_unreported() {
        let said = play("", "app_that_logs_while_it_logs");
        let expected = "1 log records were dropped: the link did not keep up";
        assert!(said.contains(expected) && said.contains("outer value=chatty"), "{said}");
    }
}
