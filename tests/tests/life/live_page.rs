//! The live page over HTTP, and `flame-top`, which shows the same in a terminal.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use flame_aws::{CallError, RunnerRef};
use flame_tests::demo::gates::{Gate, gated};
use flame_tests::demo::{double, panics};
use flame_tests::terminal::Terminal;
use flame_tests::{PageServer, Test, Watcher, process_pool, tests, top, until};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tokio::process::{Child, Command};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        the_page_and_its_data_are_served_and_nothing_else,
        the_policy_of_the_page_allows_only_its_own_script,
        a_runner_ends_only_on_a_request_of_the_page_itself,
        pages_beyond_the_limit_get_an_answer_that_says_so,
        an_ended_pool_ends_the_events_and_lets_the_server_stop,
        top_shows_a_pool_and_changes_the_terminal_back,
        top_shows_what_it_last_knew_when_the_server_is_gone,
        top_says_what_is_wrong_with_an_address,
    ]
}

async fn get(address: &str) -> Response {
    reqwest::get(address).await.expect("the server answers")
}

async fn the_page_and_its_data_are_served_and_nothing_else() {
    let pool = process_pool("served").max(1).start().await.unwrap();
    let server = PageServer::start(pool.dashboard().into_router(), 0).await;
    pool.call(double(4)).await.unwrap();
    let runner = pool.snapshot().runners[0].clone();
    let view: Value = get(&server.at("/view.json")).await.json().await.unwrap();
    assert_eq!((&view["control"], &view["pools"][0]["name"]), (&false.into(), &"served".into()));
    let row = &view["pools"][0]["runners"][0];
    assert_eq!(row["runner"], runner.runner.to_string());
    assert_eq!(
        (&row["pid"], &row["slots"], &row["calls_done"]),
        (&runner.pid.into(), &4.into(), &1.into())
    );
    let stop = server.at(&format!("/runners/{}/stop", runner.runner));
    for unknown in [server.at("/page.js"), server.at("/runners"), stop.clone()] {
        assert_eq!(get(&unknown).await.status(), StatusCode::NOT_FOUND, "{unknown}");
    }
    let posted = reqwest::Client::new().post(&stop).send().await.unwrap();
    assert_eq!(posted.status(), StatusCode::NOT_FOUND, "the app has not enabled it");
}

async fn the_policy_of_the_page_allows_only_its_own_script() {
    let pool = process_pool("policy").max(1).start().await.unwrap();
    let server = PageServer::start(pool.dashboard().into_router(), 0).await;
    let mut nonces = Vec::new();
    for _ in 0..2 {
        let answer = get(&server.at("/")).await;
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let page = answer.text().await.unwrap();
        assert!(
            policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"),
            "{policy}"
        );
        let (_, nonce) = policy.split_once("script-src 'nonce-").unwrap();
        let (nonce, _) = nonce.split_once('\'').unwrap();
        assert!(page.contains(&format!("<script nonce=\"{nonce}\">")), "{nonce}");
        assert!(!page.contains("{{"), "a placeholder is left");
        assert!(
            !page.contains("src=") && !page.contains("href=\"http"),
            "the page needs nothing else"
        );
        nonces.push(nonce.to_owned());
    }
    assert_ne!(nonces[0], nonces[1]);
}

/// The token in a page.
async fn token(server: &PageServer) -> String {
    let page = get(&server.at("/")).await.text().await.unwrap();
    let (_, token) = page.split_once("name=\"flame-token\" content=\"").unwrap();
    token.split_once('"').unwrap().0.to_owned()
}

async fn a_runner_ends_only_on_a_request_of_the_page_itself() {
    let pool = process_pool("controlled").max(1).start().await.unwrap();
    let server = PageServer::start(pool.dashboard().control(true).into_router(), 0).await;
    let mut watcher = Watcher::new(&pool);
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(gated(begun, open)));
    gate.entered().await;
    let runner = pool.snapshot().runners[0].runner;
    let token = token(&server).await;
    let send = async |runner: RunnerRef, ending: &str, headers: &[(&str, &str)]| {
        let path = server.at(&format!("/runners/{runner}/{ending}"));
        let mut request = reqwest::Client::new().post(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let good = ("x-flame-token", token.as_str());
    let wrong = ("x-flame-token", "00");
    let none = RunnerRef::from_bytes([0; 16]);
    for (runner, ending, headers, status, says) in [
        (runner, "stop", &[][..], 403, "no valid token"),
        (runner, "stop", &[wrong][..], 403, "no valid token"),
        (runner, "stop", &[good, ("sec-fetch-site", "cross-site")][..], 403, "another site"),
        (runner, "stop", &[good, ("origin", "https://evil.example")][..], 403, "another site"),
        (runner, "reboot", &[good][..], 404, "/drain or /stop"),
        (none, "stop", &[good][..], 404, "the runner has ended"),
    ] {
        let (answered, text) = send(runner, ending, headers).await;
        assert!(answered == status && text.contains(says), "{headers:?}: {answered} {text}");
        assert_eq!(pool.snapshot().leased, 1);
    }
    let (answered, text) = send(runner, "stop", &[good, ("sec-fetch-site", "same-origin")]).await;
    assert_eq!((answered, text.as_str()), (202, ""));
    assert_eq!(watcher.lost().await, 1);
    let stopped = call.await.unwrap();
    assert!(matches!(stopped, Err(CallError::RunnerLost { started: true, .. })), "{stopped:?}");
    let unknown = pool.drain_runner(none).unwrap_err();
    assert_eq!(unknown.runner, none);
}

async fn pages_beyond_the_limit_get_an_answer_that_says_so() {
    let pool = process_pool("crowded").max(1).start().await.unwrap();
    let server = PageServer::start(pool.dashboard().into_router(), 0).await;
    let events = server.at("/events");
    let mut open = Vec::new();
    for _ in 0..32 {
        let answer = get(&events).await;
        assert_eq!(answer.status(), StatusCode::OK);
        open.push(answer);
    }
    let refused = get(&events).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.text().await.unwrap().starts_with("32 pages are open already"));
    drop(open.pop());
    // The server notices the closed connection when it next writes to it.
    let again = async {
        while get(&events).await.status() != StatusCode::OK {
            pool.call(double(1)).await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), again).await.expect("a place is free");
}

async fn an_ended_pool_ends_the_events_and_lets_the_server_stop() {
    let pool = process_pool("ended").max(1).start().await.unwrap();
    let server = PageServer::start(pool.dashboard().into_router(), 0).await;
    let events = get(&server.at("/events")).await;
    pool.call(double(1)).await.unwrap();
    pool.drain().await;
    drop(pool);
    let all = tokio::time::timeout(std::time::Duration::from_secs(30), events.text()).await;
    let all = all.expect("the events end").expect("the events are text");
    let last: Vec<_> = all.trim_end().rsplit("\n\n").take(2).collect();
    assert_eq!(last[0], "event: end\ndata: all pools have ended");
    assert!(last[1].contains("\"stage\":\"drained\""), "{}", last[1]);
}

/// `flame-top` in a terminal.
struct Top {
    terminal: Terminal,
    screen: std::fs::File,
    program: Child,
    written: Arc<Mutex<String>>,
    collector: std::thread::JoinHandle<()>,
}

impl Top {
    async fn start(url: &str) -> Self {
        let terminal = Terminal::new();
        terminal.resize(120, 40);
        let screen = terminal.screen();
        let stream = || Stdio::from(screen.try_clone().expect("the screen is open"));
        let program = Command::new(top().await)
            .arg(url)
            .env("TERM", "xterm-256color")
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .kill_on_drop(true)
            .spawn()
            .expect("flame-top starts");
        let written = Arc::new(Mutex::new(String::new()));
        let to = written.clone();
        let collector = terminal.collect(move |bytes| {
            to.lock().expect("nobody panics").push_str(&String::from_utf8_lossy(bytes));
        });
        Self { terminal, screen, program, written, collector }
    }

    /// Waits until a text has been written. It must have no space: unchanged cells are skipped.
    async fn until_written(&self, text: &str) {
        until(text, || self.written.lock().expect("nobody panics").contains(text)).await;
    }

    /// Waits until it exits, and returns its exit code and everything that it has written.
    async fn exited(mut self) -> (Option<i32>, String) {
        let status = self.program.wait().await.expect("it exits");
        assert!(self.terminal.is_cooked(), "the terminal is as before");
        drop(self.screen);
        self.collector.join().expect("it has read everything");
        let written = self.written.lock().expect("nobody panics").clone();
        (status.code(), written)
    }
}

/// The codes by which a program takes the whole screen, and gives it back.
const TAKE_SCREEN: &str = "\x1b[?1049h";
const GIVE_BACK: &str = "\x1b[?1049l";

async fn top_shows_a_pool_and_changes_the_terminal_back() {
    let pool = process_pool("terminally").max(1).start().await.unwrap();
    let router = axum::Router::new().nest("/pools", pool.dashboard().into_router());
    let server = PageServer::start(router, 0).await;
    pool.call(panics("\x1b[31mescaped")).await.unwrap_err();
    let runner = pool.snapshot().runners[0].runner.to_string();
    let top = Top::start(&server.at("/pools/")).await;
    for text in ["terminally", &runner[..10], "panicked", "escaped"] {
        top.until_written(text).await;
    }
    assert!(!top.terminal.is_cooked(), "keys are read one by one");
    // It goes on.
    pool.call(double(1)).await.unwrap();
    top.until_written("double").await;
    top.terminal.press(b'q');
    let (code, written) = top.exited().await;
    assert_eq!(code, Some(0), "{written:?}");
    let (took, gave) = (written.find(TAKE_SCREEN), written.rfind(GIVE_BACK));
    assert!(took.is_some() && took < gave, "{written:?}");
    assert!(!written.contains("\x1b[31mescaped"), "the text of a panic is no command");
}

async fn top_shows_what_it_last_knew_when_the_server_is_gone() {
    let pool = process_pool("vanishing").max(1).start().await.unwrap();
    let router = pool.dashboard().into_router();
    let server = PageServer::start(router.clone(), 0).await;
    let top = Top::start(&server.at("")).await;
    top.until_written("vanishing").await;
    let port = server.port();
    drop(server);
    top.until_written("lost,").await;
    let _again = PageServer::start(router, port).await;
    pool.call(double(1)).await.unwrap();
    top.until_written("double").await;
    // Ctrl-C, which is a key here.
    top.terminal.press(3);
    assert_eq!(top.exited().await.0, Some(0));
}

async fn top_says_what_is_wrong_with_an_address() {
    let server = PageServer::start(axum::Router::new(), 0).await;
    let closed = {
        let server = PageServer::start(axum::Router::new(), 0).await;
        server.at("")
    };
    for (url, says) in [
        (server.at("/pools"), "there is no live page at"),
        (closed, "can't connect to http://127.0.0.1:"),
        ("localhost:3000".to_owned(), "begins with http://"),
        ("https://localhost:3000".to_owned(), "no TLS"),
    ] {
        let (code, written) = Top::start(&url).await.exited().await;
        assert_eq!(code, Some(1), "{written}");
        assert!(written.contains(says), "{url}: {written}");
        assert!(
            !written.contains(TAKE_SCREEN),
            "an error before the terminal is changed: {written:?}"
        );
    }
}
