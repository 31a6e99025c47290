//! The spans and the trace of a call.

use flame_tests::program::{GIVEN_TRACE, Program, TracedCalls};
use flame_tests::spans::RecordedSpan;
use flame_tests::{Test, tests};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        queue_boot_connect_run_and_reply_are_spans,
        streams_children_and_casts_have_the_same_spans_as_calls,
        nested_calls_share_a_trace_and_have_their_own_spans,
        a_given_trace_reaches_the_runner_unchanged,
        a_function_runs_within_the_span_of_its_call,
    ]
}

async fn traced_calls() -> TracedCalls {
    let (printed, _) = Program::start("traced_calls", &[]).finish().await;
    serde_json::from_str(&printed).unwrap()
}

fn only<'a>(spans: &'a [RecordedSpan], name: &str) -> &'a RecordedSpan {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found.next().unwrap_or_else(|| panic!("no span {name}: {spans:?}"));
    assert_eq!(found.next(), None, "one call has more than one span {name}");
    span
}

/// Returns the trace id and the span id.
fn ids(traceparent: &str) -> (&str, &str) {
    let mut parts = traceparent.split('-').skip(1);
    (parts.next().unwrap(), parts.next().unwrap())
}

async fn queue_boot_connect_run_and_reply_are_spans() {
    let TracedCalls { spans, levels, .. } = traced_calls().await;
    let call = only(&spans, "flame.call");
    assert_eq!(call.field("function"), Some("flame_tests::demo::traces"));
    assert_eq!(call.field("pool"), Some("traced"));
    let crossed = &levels.last().unwrap().1;
    assert_eq!(
        call.field("traceparent"),
        Some(crossed.as_str()),
        "the runner has another traceparent"
    );
    for part in ["flame.queue", "flame.run", "flame.reply"] {
        assert_eq!(only(&spans, part).parent.as_deref(), Some("flame.call"), "{part}");
    }
    let runner = only(&spans, "flame.run").field("runner");
    assert!(runner.is_some_and(|runner| !runner.is_empty()), "{spans:?}");
    // A boot belongs to no call: the first runner that is up serves the first call in the queue.
    for part in ["flame.boot", "flame.connect"] {
        assert_eq!(only(&spans, part).parent, None, "{part}");
        assert_eq!(only(&spans, part).field("runner"), runner, "{part}");
    }
}

async fn streams_children_and_casts_have_the_same_spans_as_calls() {
    let TracedCalls { other_kinds, .. } = traced_calls().await;
    // A cast has no reply.
    let expected: [(_, &[_]); 3] = [
        ("stream", &["flame.queue", "flame.run", "flame.reply"]),
        ("child", &["flame.queue", "flame.run", "flame.reply"]),
        ("cast", &["flame.queue", "flame.run"]),
    ];
    for ((kind, spans), (name, parts)) in other_kinds.iter().zip(expected) {
        assert_eq!(kind, name);
        assert_eq!(only(spans, "flame.call").parent, None);
        assert_eq!(spans.len(), 1 + parts.len(), "{kind}: {spans:?}");
        for part in parts {
            assert_eq!(only(spans, part).parent.as_deref(), Some("flame.call"), "{kind}: {part}");
        }
        assert!(only(spans, "flame.run").field("runner").is_some());
    }
}

async fn nested_calls_share_a_trace_and_have_their_own_spans() {
    let TracedCalls { levels, .. } = traced_calls().await;
    let [(_, inner), (_, outer)] = &levels[..] else { panic!("two levels: {levels:?}") };
    assert_eq!(ids(inner).0, ids(outer).0);
    assert_ne!(ids(inner).1, ids(outer).1);
}

async fn a_given_trace_reaches_the_runner_unchanged() {
    let TracedCalls { given, .. } = traced_calls().await;
    assert_eq!(given[0].1, GIVEN_TRACE);
}

async fn a_function_runs_within_the_span_of_its_call() {
    let TracedCalls { levels, given, plain, .. } = traced_calls().await;
    assert_eq!(levels.last().unwrap().0, "flame.serve");
    assert_eq!(given[0].0, "flame.serve");
    assert_eq!(plain, "flame.serve", "a plain function runs in the span, too");
}
