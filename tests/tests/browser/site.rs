//! The web example, in a process of its own.

use std::process::Stdio;
use std::sync::{Arc, LazyLock, Mutex};

use flame_tests::{cargo_build, until};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

/// The example's executable.
static EXECUTABLE: LazyLock<std::path::PathBuf> =
    LazyLock::new(|| cargo_build(&["--example", "web"]).join("examples").join("web"));

/// A running server. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Site {
    server: Child,
    port: u16,
    log: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// Starts a server on that port, or on any free port with 0.
    pub(crate) async fn start(port: u16) -> Self {
        Self::start_with(port, &[]).await
    }

    /// Starts a server with these variables in its environment.
    pub(crate) async fn start_with(port: u16, variables: &[(&str, &str)]) -> Self {
        let executable =
            tokio::task::spawn_blocking(|| &*EXECUTABLE).await.expect("the example is built");
        let mut server = Command::new(executable)
            .args(["--port", &port.to_string()])
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the example starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(collect(server.stdout.take().expect("stdout is piped"), log.clone()));
        tokio::spawn(collect(server.stderr.take().expect("stderr is piped"), log.clone()));
        let port = || {
            let log = log.lock().expect("nothing panics with the lock");
            let line = log.iter().find_map(|line| line.strip_prefix("http://127.0.0.1:"))?;
            line.split(' ').next()?.parse().ok()
        };
        until("the server listens", || port().is_some()).await;
        Self { server, port: port().expect("the server listens"), log }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.id().expect("the server has not been waited for")
    }

    /// Returns the address of the page, with `rest` appended.
    pub(crate) fn page(&self, rest: &str) -> String {
        format!("http://127.0.0.1:{}/{rest}", self.port)
    }

    /// Waits until `times` lines of the log contain `text`.
    pub(crate) async fn logs(&self, text: &str, times: usize) {
        until(text, || {
            let log = self.log.lock().expect("nothing panics with the lock");
            log.iter().filter(|line| line.contains(text)).count() == times
        })
        .await;
    }

    /// Waits until the status page contains `text`.
    pub(crate) async fn status(&self, text: &str) {
        let waiting = async {
            loop {
                let status = reqwest::get(self.page("status")).await.expect("the server answers");
                if status.text().await.expect("the page is text").contains(text) {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(30), waiting).await;
        waited
            .unwrap_or_else(|_| panic!("waited for 30 s until the status page contained {text:?}"));
    }

    /// Waits until the server exits with 0.
    pub(crate) async fn exits_cleanly(mut self) {
        let status = self.server.wait().await.expect("the server exits");
        assert!(status.success(), "{status}: {:?}", self.log.lock());
    }
}

async fn collect(from: impl AsyncRead + Unpin, log: Arc<Mutex<Vec<String>>>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.lock().expect("nothing panics with the lock").push(line);
    }
}
