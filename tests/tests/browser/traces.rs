//! The traces of the web example, at an OpenTelemetry collector.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use flame_tests::{Test, process, tests};
use rustix::process::Signal;
use serde_json::Value;

use crate::site::Site;

pub(crate) fn tests() -> Vec<Test> {
    tests![a_request_is_one_trace_of_the_server_and_its_runner]
}

/// A span that the collector has received.
#[derive(Debug, Clone)]
struct Span {
    service: String,
    name: String,
    trace: String,
    id: String,
    parent: String,
}

type Received = Arc<Mutex<Vec<Span>>>;

/// Starts a collector of OTLP over HTTP. Returns its address.
async fn collector(received: Received) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/v1/traces", post(receive)).with_state(received);
    tokio::spawn(axum::serve(listener, routes).into_future());
    address
}

async fn receive(State(received): State<Received>, body: String) -> &'static str {
    let request: Value = serde_json::from_str(&body).unwrap();
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for resource in list(&request, "resourceSpans") {
        let attributes = list(&resource["resource"], "attributes");
        let service = attributes.iter().find(|attribute| attribute["key"] == "service.name");
        let service = service.map(|service| text(&service["value"]["stringValue"]));
        for span in list(&resource, "scopeSpans").iter().flat_map(|scope| list(scope, "spans")) {
            received.lock().unwrap().push(Span {
                service: service.clone().unwrap_or_default(),
                name: text(&span["name"]),
                trace: text(&span["traceId"]),
                id: text(&span["spanId"]),
                parent: text(&span["parentSpanId"]),
            });
        }
    }
    "{}"
}

async fn a_request_is_one_trace_of_the_server_and_its_runner() {
    let received = Received::default();
    let endpoint = collector(received.clone()).await;
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let site = Site::start_with(0, &variables).await;
    let picture = reqwest::get(site.page("picture?x=-0.5&y=0&zoom=1")).await.unwrap();
    assert!(picture.status().is_success(), "{picture:?}");
    process::signal(site.pid(), Signal::TERM);
    site.exits_cleanly().await;
    // Server and runner have sent their last spans before they exited.
    let spans = received.lock().unwrap().clone();
    let only = |name: &str| {
        let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
        let [span] = found[..] else { panic!("one span {name}: {spans:#?}") };
        span.clone()
    };
    let path = ["whole_picture", "flame.call", "flame.run", "flame.serve", "draw"].map(only);
    for [parent, child] in path.array_windows() {
        assert_eq!((&child.trace, &child.parent), (&parent.trace, &parent.id), "{}", child.name);
    }
    let services = path.map(|span| span.service);
    assert_eq!(services, ["web", "web", "web", "web-runner", "web-runner"]);
}
