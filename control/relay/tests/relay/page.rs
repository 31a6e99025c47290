//! The relay's page: where it is served, what it shows, and its bounds.

use std::net::SocketAddr;
use std::time::Duration;

use flame_relay::config::Config;
use flame_wire::ids::RunnerRef;
use flame_wire::relay::PARENT_PATH;
use futures_util::SinkExt;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{KEY, Parent, RUNNER, TestRelay, connect, get, receive_binary, soon};

const PATHS: [&str; 3] = ["/", "/view.json", "/events"];

fn with_page(config: &mut Config) {
    config.metrics_listen = Some(([127, 0, 0, 1], 0).into());
}

/// What the page shows now.
async fn view(page: SocketAddr) -> Value {
    let answer = get(page, "/view.json").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("no-store"), "{head}");
    serde_json::from_str(body).unwrap()
}

/// What the page shows once this is so.
async fn view_when(page: SocketAddr, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let waiting = async {
        loop {
            let view = view(page).await;
            if is_so(&view) {
                return view;
            }
        }
    };
    soon(what, waiting).await
}

/// Opens `/events`, and reads until the text of the answer contains this.
async fn listen(page: SocketAddr, until: &str) -> (TcpStream, String) {
    let mut tcp = TcpStream::connect(page).await.unwrap();
    tcp.write_all(b"GET /events HTTP/1.1\r\nhost: relay\r\n\r\n").await.unwrap();
    let text = read_until(&mut tcp, until).await;
    (tcp, text)
}

async fn read_until(tcp: &mut TcpStream, until: &str) -> String {
    let reading = async {
        let mut text = String::new();
        while !text.contains(until) {
            let mut bytes = [0; 4096];
            let read = tcp.read(&mut bytes).await.unwrap();
            assert!(read > 0, "the answer ends without {until}: {text}");
            text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
        text
    };
    soon(&format!("{until} arrives"), reading).await
}

#[tokio::test]
async fn the_public_address_never_serves_the_page() {
    let without: fn(&mut Config) = |_| {};
    for change in [with_page, without] {
        let relay = TestRelay::with(change).await;
        for path in PATHS {
            let answer = relay.get(path).await;
            assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
            for part in ["<html", "\"parents\"", "event:"] {
                assert!(!answer.contains(part), "{path}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn the_document_allows_its_own_script_and_style_only() {
    let relay = TestRelay::with(with_page).await;
    let page = relay.page.unwrap();
    let nonce = async || {
        let answer = get(page, "/").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let (_, policy) = answer.split_once("content-security-policy: ").unwrap();
        let (policy, _) = policy.split_once("\r\n").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'nonce-"), "{policy}");
        let (_, rest) = policy.split_once("script-src 'nonce-").unwrap();
        let (nonce, _) = rest.split_once('\'').unwrap();
        assert_eq!(answer.matches(&format!("nonce=\"{nonce}\"")).count(), 2, "style and script");
        assert!(!answer.contains("{{"), "everything is filled in");
        nonce.to_owned()
    };
    assert_ne!(nonce().await, nonce().await, "each document has a nonce of its own");
}

#[tokio::test]
async fn the_view_shows_what_the_relay_does_and_no_secret() {
    let relay = TestRelay::with(with_page).await;
    let page = relay.page.unwrap();
    let mut parent = relay.parent_of_runner().await;
    let (mut runner, mut socket) = relay.pair(&mut parent).await;
    runner.send(Message::Binary(vec![1; 1000].into())).await.unwrap();
    receive_binary(&mut socket).await;
    let _waiting = relay.runner();
    let ticket = parent.ticket().await;
    connect(relay.address, PARENT_PATH, Some("a-wrong-key")).await.unwrap_err();
    let (_listener, events) = listen(page, "\n\n").await;
    let view = view_when(page, "the refusal is shown", |view| view["refusals"] != json!([])).await;
    assert_eq!(view["refusals"], json!([{ "reason": "unauthorized", "count": 1 }]));
    let shown = &view["parents"]["rows"][0];
    assert_eq!((&shown["address"], &shown["registered"]), (&json!("127.0.0.1"), &json!(1)));
    let waiting = &view["waiting"]["rows"][0];
    assert_eq!(
        (&waiting["runner"], &waiting["parent"]),
        (&json!("f-07070707"), &json!("127.0.0.1"))
    );
    let pair = &view["pairs"]["rows"][0];
    assert_eq!((&pair["to_parent"], &pair["to_runner"]), (&json!(1000), &json!(0)));
    assert_eq!(pair["runner"], "f-07070707");
    assert_eq!((&view["keys"], &view["draining"]), (&json!(2), &json!(false)));
    assert_eq!(view["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(view["limits"][0]["used"], 4, "parent, pair and the runner that waits");
    let all = [get(page, "/").await, view.to_string(), events].concat();
    for secret in [KEY, "a-wrong-key", &RUNNER.to_string()[2..], &ticket.to_path()] {
        assert!(!all.contains(secret), "{secret} is in:\n{all}");
    }
    relay.stopper.drain();
    let draining = view_when(page, "the drain is shown", |view| view["draining"] == true).await;
    let left = draining["drain_ends"].as_u64().unwrap() - draining["now"].as_u64().unwrap();
    assert!(left <= 30_000, "{left}");
    drop((runner, socket));
    view_when(page, "the pair leaves the page", |view| view["pairs"]["rows"] == json!([])).await;
}

#[tokio::test]
async fn changes_are_sent_to_open_pages() {
    let relay = TestRelay::with(with_page).await;
    let (mut listener, first) = listen(relay.page.unwrap(), "\n\n").await;
    assert!(first.contains("content-type: text/event-stream"), "{first}");
    assert!(first.contains("event: view\n") && first.contains("\"registered\":0"), "{first}");
    let _parent = relay.parent_of_runner().await;
    read_until(&mut listener, "\"registered\":1").await;
}

#[tokio::test]
async fn open_pages_are_limited_and_keep_nobody_from_the_metrics() {
    let relay = TestRelay::with(with_page).await;
    let page = relay.page.unwrap();
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(listen(page, "event: view").await);
    }
    let refused = soon("a page too many is refused", get(page, "/events")).await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("8 pages are open already"), "{refused}");
    assert!(get(page, "/metrics").await.starts_with("HTTP/1.1 200 "));
    open.pop();
    let waiting = async { while !listen(page, "HTTP/1.1").await.1.starts_with("HTTP/1.1 200 ") {} };
    soon("a page that is closed makes room for another one", waiting).await;
}

#[tokio::test]
async fn rows_are_limited_and_the_rest_is_counted() {
    let relay = TestRelay::with(with_page).await;
    let page = relay.page.unwrap();
    let parents = join_all((0..130).map(|_| Parent::connect(relay.address, KEY))).await;
    let parents: Vec<_> = parents.into_iter().map(Result::unwrap).collect();
    let view = view_when(page, "all parents count", |view| view["connections"] == 130).await;
    let table = &view["parents"];
    assert_eq!((table["rows"].as_array().unwrap().len(), &table["more"]), (100, &json!(30)));
    drop(parents);
}

/// Clients that send nothing, and clients that are refused, are counted. They add no row.
#[tokio::test]
async fn strangers_do_not_enlarge_the_view() {
    let relay = TestRelay::with(|config| {
        with_page(config);
        // No silent client leaves before the test has seen all of them.
        config.handshake_timeout = Duration::from_secs(60);
    })
    .await;
    let page = relay.page.unwrap();
    let before = view(page).await;
    // All of them wait in the kernel before the relay accepts the first one.
    let silent = join_all((0..300).map(|_| TcpStream::connect(relay.address))).await;
    let are_counted = |view: &Value| view["limits"][4]["used"] == 300;
    view_when(page, "the silent clients are counted", are_counted).await;
    for n in 0..50 {
        let runner = RunnerRef::from_bytes([n; 16]);
        relay.get(&format!("/v1/runner/{runner}")).await;
        relay.get(&format!("/{n}")).await;
    }
    let are_counted = |view: &Value| view["refusals"].as_array().is_some_and(|all| all.len() == 2);
    let after = view_when(page, "the refused clients are counted", are_counted).await;
    let rows = |view: &Value| -> usize {
        let tables = ["parents", "waiting", "pairs"].map(|name| view[name]["rows"].clone());
        tables.iter().map(|rows| rows.as_array().unwrap().len()).sum()
    };
    assert_eq!((rows(&before), rows(&after)), (0, 0));
    assert_eq!(after["limits"][4]["used"], 300);
    let grown = after.to_string().len() - before.to_string().len();
    assert!(grown < 400, "the view has grown by {grown} bytes");
    drop(silent);
}
