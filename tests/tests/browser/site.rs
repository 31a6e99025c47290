//! The web example, as a process of its own.

use std::process::Stdio;
use std::sync::{Arc, LazyLock, Mutex};

use flame_tests::until;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

/// The example's executable, built where this suite was, and as it was.
///
/// Cargo does not build examples for a suite, and one that is there may be of yesterday.
static EXECUTABLE: LazyLock<std::path::PathBuf> = LazyLock::new(|| {
    let suite = std::env::current_exe().expect("this suite has a path");
    // target/debug/deps/browser-0123456789abcdef
    let built = suite.ancestors().nth(2).expect("it is in a folder of cargo's");
    let profile = match built.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = std::process::Command::new(cargo)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["build", "--quiet", "--locked", "--workspace", "--example", "web", "--profile"])
        .arg(profile)
        .arg("--target-dir")
        .arg(built.parent().expect("it is in a folder of cargo's"))
        .stdin(Stdio::null())
        .status();
    assert!(status.expect("cargo starts").success(), "the web example builds");
    built.join("examples").join("web")
});

/// A server. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Site {
    server: Child,
    port: u16,
    log: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// One that listens on that port, or with 0 on any.
    pub(crate) async fn start(port: u16) -> Self {
        let executable = tokio::task::spawn_blocking(|| &*EXECUTABLE).await.expect("it is built");
        let mut server = Command::new(executable)
            .args(["--port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the example starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(keep(server.stdout.take().expect("it is piped"), log.clone()));
        tokio::spawn(keep(server.stderr.take().expect("it is piped"), log.clone()));
        let port = || {
            let log = log.lock().expect("nothing panics with the lock");
            let line = log.iter().find_map(|line| line.strip_prefix("http://127.0.0.1:"))?;
            line.split(' ').next()?.parse().ok()
        };
        until("the server listens", || port().is_some()).await;
        Self { server, port: port().expect("it listens"), log }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.id().expect("it has not been waited for")
    }

    /// The address of its page, and what stands after it.
    pub(crate) fn page(&self, rest: &str) -> String {
        format!("http://127.0.0.1:{}/{rest}", self.port)
    }

    /// Waits until its log has so many lines with that text.
    pub(crate) async fn logs(&self, text: &str, times: usize) {
        until(text, || {
            let log = self.log.lock().expect("nothing panics with the lock");
            log.iter().filter(|line| line.contains(text)).count() == times
        })
        .await;
    }

    /// Waits until its page of status has that text.
    pub(crate) async fn status(&self, text: &str) {
        let waiting = async {
            loop {
                let status = reqwest::get(self.page("status")).await.expect("it answers");
                if status.text().await.expect("text").contains(text) {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(30), waiting).await;
        waited.unwrap_or_else(|_| panic!("waited for 30 s: {text}"));
    }

    /// Waits for its end.
    pub(crate) async fn ends_in_order(mut self) {
        let status = self.server.wait().await.expect("it ends");
        assert!(status.success(), "{status}: {:?}", self.log.lock());
    }
}

async fn keep(from: impl AsyncRead + Unpin, log: Arc<Mutex<Vec<String>>>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.lock().expect("nothing panics with the lock").push(line);
    }
}
