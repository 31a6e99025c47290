//! The traces of OpenTelemetry, across processes.

use flame_tests::otel::{self, ExportedSpan};
use flame_tests::program::{GIVEN_TRACE, Program};
use flame_tests::{TempDir, Test, tests};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_call_is_one_trace_through_both_processes,
        calls_that_waited_for_the_same_boot_link_to_it,
        a_boot_that_no_call_waits_for_has_a_trace_of_its_own,
        a_plain_function_belongs_to_its_callers_trace,
        a_nested_call_belongs_to_the_same_trace,
        a_given_trace_is_the_parent_of_the_call,
        a_failed_call_is_a_failed_span,
        a_trace_that_the_parent_does_not_sample_is_not_recorded_on_the_runner,
        a_filter_that_removes_the_calls_spans_keeps_its_trace_together,
    ]
}

/// The spans of the program and of its runners.
struct Spans(Vec<ExportedSpan>);

impl Spans {
    async fn of_program(variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::new();
        let path = folder.path().to_str().expect("the path is text");
        let variables = [variables, &[(otel::SPANS_TO, path)]].concat();
        let (printed, _) = Program::start("otel_calls", &variables).finish().await;
        let mut spans: Vec<ExportedSpan> = serde_json::from_str(&printed).expect("spans");
        spans.extend(otel::written_to(folder.path()));
        Self(spans)
    }

    /// The only span with this name in a trace.
    fn only(&self, trace: &str, name: &str) -> &ExportedSpan {
        let mut found = self.0.iter().filter(|span| span.trace == trace && span.name == name);
        let span = found.next().unwrap_or_else(|| panic!("no span {name}: {:#?}", self.0));
        assert_eq!(found.next(), None, "two spans {name}");
        span
    }

    /// The id of the trace that begins with this request.
    fn trace(&self, request: &str) -> &str {
        let span = self.0.iter().find(|span| span.name == request);
        &span.unwrap_or_else(|| panic!("no span {request}: {:#?}", self.0)).trace
    }

    fn child_of<'a>(&'a self, parent: &ExportedSpan, name: &str) -> &'a ExportedSpan {
        let child = self.only(&parent.trace, name);
        assert_eq!(child.parent.as_ref(), Some(&parent.id), "{name} in {:#?}", self.0);
        child
    }
}

async fn a_call_is_one_trace_through_both_processes() {
    let spans = Spans::of_program(&[]).await;
    let trace = spans.trace("first request");
    let call = spans.child_of(spans.only(trace, "first request"), "flame.call");
    for part in ["flame.queue", "flame.boot", "flame.connect", "flame.reply"] {
        assert_eq!(spans.child_of(call, part).pid, call.pid);
    }
    let run = spans.child_of(call, "flame.run");
    let serve = spans.child_of(run, "flame.serve");
    assert_ne!(serve.pid, run.pid, "the function runs in another process");
    let query = spans.child_of(serve, "query the database");
    assert_eq!(spans.child_of(query, "connect to the database").pid, serve.pid);
    assert_eq!((run.kind.as_str(), serve.kind.as_str()), ("Client", "Server"));
    assert!(!call.failed);
    let in_trace = spans.0.iter().filter(|span| span.trace == trace);
    assert_eq!(in_trace.count(), 10, "nothing else is in the trace: {:#?}", spans.0);
}

async fn calls_that_waited_for_the_same_boot_link_to_it() {
    let spans = Spans::of_program(&[]).await;
    let boot = spans.only(spans.trace("first request"), "flame.boot");
    for request in ["first request", "second request"] {
        let queue = spans.only(spans.trace(request), "flame.queue");
        assert_eq!(queue.links, [boot.id.as_str()], "{request}");
    }
    let later = spans.only(spans.trace("plain request"), "flame.queue");
    assert!(later.links.is_empty(), "the runner was up before the call was made");
}

async fn a_boot_that_no_call_waits_for_has_a_trace_of_its_own() {
    let spans = Spans::of_program(&[]).await;
    let roots = spans.0.iter().filter(|span| span.parent.is_none() && span.name == "flame.boot");
    let [boot] = &roots.collect::<Vec<_>>()[..] else { panic!("one such boot: {:#?}", spans.0) };
    spans.child_of(boot, "flame.connect");
}

async fn a_plain_function_belongs_to_its_callers_trace() {
    let spans = Spans::of_program(&[]).await;
    let serve = spans.only(spans.trace("plain request"), "flame.serve");
    spans.child_of(serve, "query the database");
}

async fn a_nested_call_belongs_to_the_same_trace() {
    let spans = Spans::of_program(&[]).await;
    let trace = spans.trace("nesting request");
    let mut serves =
        spans.0.iter().filter(|span| span.trace == trace && span.name == "flame.serve");
    let (one, other) = (serves.next().unwrap(), serves.next().unwrap());
    let parent_of = |span: &ExportedSpan| {
        let parent = spans.0.iter().find(|parent| Some(&parent.id) == span.parent.as_ref());
        parent.expect("the parent is exported").clone()
    };
    let ancestors = |span: &ExportedSpan| {
        let run = parent_of(span);
        let call = parent_of(&run);
        (run.name.clone(), call.name.clone(), parent_of(&call))
    };
    let mut chains = [ancestors(one), ancestors(other)];
    chains.sort_by_key(|(_, _, above)| above.name.clone());
    let [(_, _, outer_serve), (_, _, request)] = &chains;
    assert_eq!(
        (outer_serve.name.as_str(), request.name.as_str()),
        ("flame.serve", "nesting request")
    );
    for (run, call, _) in &chains {
        assert_eq!((run.as_str(), call.as_str()), ("flame.run", "flame.call"));
    }
}

async fn a_given_trace_is_the_parent_of_the_call() {
    let spans = Spans::of_program(&[]).await;
    let mut given = GIVEN_TRACE.split('-').skip(1);
    let (trace, parent) = (given.next().unwrap(), given.next().unwrap());
    let call = spans.only(trace, "flame.call");
    assert_eq!(call.parent.as_deref(), Some(parent));
    spans.child_of(spans.only(trace, "flame.serve"), "query the database");
}

async fn a_failed_call_is_a_failed_span() {
    let spans = Spans::of_program(&[]).await;
    assert!(spans.only(spans.trace("failing request"), "flame.call").failed);
}

async fn a_trace_that_the_parent_does_not_sample_is_not_recorded_on_the_runner() {
    let spans = Spans::of_program(&[("DEMO_UNSAMPLED", "1")]).await;
    let given = GIVEN_TRACE.split('-').nth(1).unwrap();
    let others: Vec<_> = spans.0.iter().filter(|span| span.trace != given).collect();
    assert!(others.is_empty(), "{others:#?}");
    // The runner would record what its parent samples.
    spans.only(given, "flame.serve");
}

async fn a_filter_that_removes_the_calls_spans_keeps_its_trace_together() {
    let spans = Spans::of_program(&[(otel::LEVEL, "info")]).await;
    assert!(!spans.0.iter().any(|span| span.name.starts_with("flame.")), "{:#?}", spans.0);
    let request = spans.only(spans.trace("first request"), "first request");
    let query = spans.child_of(request, "query the database");
    assert_ne!(query.pid, request.pid);
}
