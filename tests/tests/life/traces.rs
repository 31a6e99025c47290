//! The spans of a call, and the trace that it belongs to.

use flame_tests::program::{GIVEN_TRACE, Program, Traced};
use flame_tests::spans::Opened;
use flame_tests::{Test, tests};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        queue_boot_connect_run_and_reply_are_spans,
        streams_children_and_casts_have_the_same_spans_as_calls,
        calls_of_calls_are_in_one_trace_each_with_a_span_of_its_own,
        a_trace_that_is_given_crosses_as_it_is,
        a_function_runs_within_the_span_of_its_call,
    ]
}

async fn traced() -> Traced {
    let (printed, _) = Program::start("traced", &[]).finish().await;
    serde_json::from_str(&printed).unwrap()
}

fn only<'a>(spans: &'a [Opened], name: &str) -> &'a Opened {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found.next().unwrap_or_else(|| panic!("no span {name}: {spans:?}"));
    assert_eq!(found.next(), None, "one {name} for one call");
    span
}

/// Trace id and span id.
fn ids(traceparent: &str) -> (&str, &str) {
    let mut parts = traceparent.split('-').skip(1);
    (parts.next().unwrap(), parts.next().unwrap())
}

async fn queue_boot_connect_run_and_reply_are_spans() {
    let Traced { spans, levels, .. } = traced().await;
    let call = only(&spans, "flame.call");
    assert_eq!(call.field("function"), Some("flame_tests::demo::traces"));
    assert_eq!(call.field("pool"), Some("traced"));
    let crossed = &levels.last().unwrap().1;
    assert_eq!(call.field("traceparent"), Some(crossed.as_str()), "the runner has the same");
    for part in ["flame.queue", "flame.run", "flame.reply"] {
        assert_eq!(only(&spans, part).within.as_deref(), Some("flame.call"), "{part}");
    }
    let runner = only(&spans, "flame.run").field("runner");
    assert!(runner.is_some_and(|runner| !runner.is_empty()), "{spans:?}");
    // A boot is for whoever comes first, and so in no call.
    for part in ["flame.boot", "flame.connect"] {
        assert_eq!(only(&spans, part).within, None, "{part}");
        assert_eq!(only(&spans, part).field("runner"), runner, "{part}");
    }
}

async fn streams_children_and_casts_have_the_same_spans_as_calls() {
    let Traced { ways, .. } = traced().await;
    // Nobody reads the reply to a cast.
    let expected: [(_, &[_]); 3] = [
        ("stream", &["flame.queue", "flame.run", "flame.reply"]),
        ("child", &["flame.queue", "flame.run", "flame.reply"]),
        ("cast", &["flame.queue", "flame.run"]),
    ];
    for ((way, spans), (name, parts)) in ways.iter().zip(expected) {
        assert_eq!(way, name);
        assert_eq!(only(spans, "flame.call").within, None);
        assert_eq!(spans.len(), 1 + parts.len(), "{way}: {spans:?}");
        for part in parts {
            assert_eq!(only(spans, part).within.as_deref(), Some("flame.call"), "{way}: {part}");
        }
        assert!(only(spans, "flame.run").field("runner").is_some());
    }
}

async fn calls_of_calls_are_in_one_trace_each_with_a_span_of_its_own() {
    let Traced { levels, .. } = traced().await;
    let [(_, inner), (_, outer)] = &levels[..] else { panic!("two levels: {levels:?}") };
    assert_eq!(ids(inner).0, ids(outer).0);
    assert_ne!(ids(inner).1, ids(outer).1);
}

async fn a_trace_that_is_given_crosses_as_it_is() {
    let Traced { given, .. } = traced().await;
    assert_eq!(given[0].1, GIVEN_TRACE);
}

async fn a_function_runs_within_the_span_of_its_call() {
    let Traced { levels, given, plain, .. } = traced().await;
    assert_eq!(levels.last().unwrap().0, "flame.serve");
    assert_eq!(given[0].0, "flame.serve");
    assert_eq!(plain, "flame.serve", "also on a blocking thread");
}
