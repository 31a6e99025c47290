//! For tests: an ECS API with programmed responses, which records its requests.

use std::sync::Arc;
use std::time::Duration;

use flame_wire::parent::HostKind;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::api::Api;
use super::instances::EcsInstances;
use super::poller::PollIntervals;
use super::request::Owner;
use super::task_monitor::TaskMonitor;
use super::task_template::TaskTemplate;
use crate::backend::BootSpec;
use crate::backend::aws::testing::config;

pub(super) const INTERVALS: PollIntervals =
    PollIntervals { booting: Duration::from_millis(100), up: Duration::from_millis(500) };

/// The operation and the body of a request.
pub(super) type RecordedRequest = (String, Value);

/// A monitor in the cluster `main`, and the requests that ECS receives from it. ECS responds with
/// the result of `response`; its error is an error code.
pub(super) async fn monitor(
    response: impl Fn(&str, &Value) -> Result<Value, &'static str> + Send + 'static,
) -> (Arc<TaskMonitor>, mpsc::UnboundedReceiver<RecordedRequest>) {
    let (endpoint, requests) = server(response).await;
    (monitor_at(endpoint), requests)
}

/// A server with programmed responses, as those of [`monitor`], and the requests that it receives.
pub(super) async fn server(
    mut response: impl FnMut(&str, &Value) -> Result<Value, &'static str> + Send + 'static,
) -> (String, mpsc::UnboundedReceiver<RecordedRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let (operation, body) = read(&mut socket).await;
            let (status, answer) = match response(&operation, &body) {
                Ok(answer) => (200, answer),
                Err(kind) => (400, serde_json::json!({ "__type": kind, "message": kind })),
            };
            let _ = sender.send((operation, body));
            write(&mut socket, status, &answer.to_string()).await;
        }
    });
    (endpoint, requests)
}

fn monitor_at(endpoint: String) -> Arc<TaskMonitor> {
    TaskMonitor::new(Api::new(&config(&endpoint), "main"), "app".to_owned(), None, INTERVALS)
}

/// The instances of a pool whose ECS accepts connections and never responds.
pub(super) async fn silent_ecs(boot_timeout: Duration) -> EcsInstances {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut connections = Vec::new();
        loop {
            connections.push(listener.accept().await.unwrap());
        }
    });
    let template = TaskTemplate {
        cluster: "main".to_owned(),
        task_definition: "app:7".to_owned(),
        container: "app".to_owned(),
        subnets: vec!["subnet-1".to_owned()],
        ..TaskTemplate::default()
    };
    let owner = Owner { pool: "thumbs".to_owned(), parent: "p-1".to_owned(), task: None };
    let (monitor, background) = (monitor_at(endpoint), vec![server]);
    let (providers, size) = (Arc::default(), template.size(None));
    EcsInstances {
        template,
        size,
        owner,
        monitor,
        providers,
        #[cfg(feature = "cloudwatch-logs")]
        log: None,
        boot_timeout,
        max_age: None,
        background,
    }
}

/// The spec of a boot.
pub(super) fn spec() -> BootSpec {
    crate::backend::boot::testing::spec(HostKind::Ecs)
}

async fn read(socket: &mut TcpStream) -> RecordedRequest {
    let mut request = Vec::new();
    loop {
        let mut part = [0; 4096];
        let len = socket.read(&mut part).await.unwrap();
        assert_ne!(len, 0, "the request is complete");
        request.extend_from_slice(&part[..len]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let Ok(body) = serde_json::from_str(body) else { continue };
        let target = |line: &str| {
            let (name, value) = line.split_once(':')?;
            let (_, operation) = value.rsplit_once('.')?;
            name.eq_ignore_ascii_case("x-amz-target").then(|| operation.trim().to_owned())
        };
        return (head.lines().find_map(target).expect("an operation"), body);
    }
}

async fn write(socket: &mut TcpStream, status: u16, body: &str) {
    let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n", body.len());
    let answer = format!("{head}connection: close\r\n\r\n{body}");
    socket.write_all(answer.as_bytes()).await.unwrap();
}
