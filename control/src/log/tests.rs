use futures_util::FutureExt;

use super::*;
use crate::pool::call_info::{CallInfo, SentCall};
use crate::pool::lane::LaneRole;

fn runner() -> RunnerRef {
    RunnerRef::from_bytes([7; 16])
}

fn event(call: Option<u64>, text: &str) -> message::LogMessage {
    message::LogMessage {
        call,
        level: message::Level::Warn,
        target: "app".to_owned(),
        text: text.to_owned(),
        dropped: 0,
    }
}

fn line(stream: OutputStream, text: &str) -> OutputLine {
    OutputLine::new(runner(), stream, text)
}

#[tokio::test]
async fn a_listener_receives_what_is_logged_and_printed_from_then_on() {
    let log = PoolLog::new("words");
    log.event(runner(), event(None, "before"));
    let mut logs = log.listen();
    log.event(runner(), event(Some(3), "logged"));
    log.printed(line(OutputStream::Stderr, "\x1b[31mERROR\x1b[0m printed"), Some(CallId(4)));
    let logged = logs.next().await.unwrap().unwrap();
    let expected = LogRecord {
        pool: "words".into(),
        runner: runner(),
        call: Some(CallId(3)),
        level: Level::WARN,
        target: Some("app".to_owned()),
        text: "logged".to_owned(),
        stream: None,
        time: logged.time,
    };
    assert_eq!(logged, expected);
    let printed = logs.next().await.unwrap().unwrap();
    assert_eq!((printed.level, printed.target), (Level::ERROR, None));
    assert_eq!((printed.call, printed.stream), (Some(CallId(4)), Some(OutputStream::Stderr)));
    assert!(
        printed.text.ends_with("printed") && !printed.text.contains('\x1b'),
        "{}",
        printed.text
    );
    drop(log);
    assert!(logs.next().await.is_none(), "the pool is gone");
}

#[tokio::test]
async fn a_calls_records_are_those_with_its_id_and_runner() {
    let log = PoolLog::new("words");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    let call = Arc::new(CallInfo::new("app::function", trace));
    let mut logs = log.listen().of_call(call.clone());
    log.event(runner(), event(Some(2), "before the call was sent"));
    assert!(logs.next().now_or_never().is_none());
    let at = tokio::time::Instant::now().into_std();
    let lane = LaneRole::Primary;
    call.set_sent(SentCall { at, runner: runner(), lane, id: CallId(1) });
    log.event(runner(), event(Some(2), "of another call"));
    log.event(RunnerRef::from_bytes([8; 16]), event(Some(1), "of another runner"));
    log.event(runner(), event(None, "of no call"));
    log.event(runner(), event(Some(1), "its own"));
    assert_eq!(logs.next().await.unwrap().unwrap().text, "its own");
}

#[tokio::test]
async fn the_lines_of_an_event_have_its_level_for_a_listener_too() {
    let log = PoolLog::new("words");
    let mut logs = log.listen();
    log.printed(line(OutputStream::Stderr, "thread 'main' panicked at src/main.rs:3:5:"), None);
    log.printed(line(OutputStream::Stdout, "on the other stream"), None);
    log.printed(line(OutputStream::Stderr, "the message of the panic"), None);
    let mut level = async || logs.next().await.unwrap().unwrap().level;
    let levels = [level().await, level().await, level().await];
    assert_eq!(levels, [Level::ERROR, Level::INFO, Level::ERROR]);
}

#[test]
fn records_that_a_runner_has_dropped_are_counted() {
    let log = PoolLog::new("words");
    log.event(runner(), message::LogMessage { dropped: 5, ..event(None, "5 were dropped") });
    log.event(runner(), event(None, "logged"));
    assert_eq!(log.dropped(), 5);
}
