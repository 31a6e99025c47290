//! ECS as far as a test needs it: it answers each request as it is told to, and keeps them.

use std::sync::Arc;
use std::time::Duration;

use flame_wire::parent::HostKind;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::Running;
use super::api::Api;
use super::fleet::Fleet;
use super::plan::Plan;
use super::poller::Every;
use super::request::Asker;
use crate::backend::BootSpec;
use crate::backend::aws::testing::config;

pub(super) const EVERY: Every =
    Every { booting: Duration::from_millis(100), up: Duration::from_millis(500) };

/// A request: its operation, and its body.
pub(super) type Request = (String, Value);

/// A fleet in the cluster `main` of an ECS that answers so, with the name of an error where it is
/// one; and the requests that it got.
pub(super) async fn fleet(
    answer: impl Fn(&str, &Value) -> Result<Value, &'static str> + Send + 'static,
) -> (Arc<Fleet>, mpsc::UnboundedReceiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (said, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let (operation, body) = read(&mut socket).await;
            let (status, answer) = match answer(&operation, &body) {
                Ok(answer) => (200, answer),
                Err(kind) => (400, serde_json::json!({ "__type": kind, "message": kind })),
            };
            let _ = said.send((operation, body));
            write(&mut socket, status, &answer.to_string()).await;
        }
    });
    (fleet_at(endpoint), heard)
}

fn fleet_at(endpoint: String) -> Arc<Fleet> {
    Fleet::new(Api::new(&config(&endpoint), "main"), "app".to_owned(), None, EVERY)
}

/// A backend whose ECS takes requests and never answers them.
pub(super) async fn running_on_silence(boot_timeout: Duration) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let silent = tokio::spawn(async move {
        let mut taken = Vec::new();
        loop {
            taken.push(listener.accept().await.unwrap());
        }
    });
    let plan = Plan {
        cluster: "main".to_owned(),
        task_definition: "app:7".to_owned(),
        container: "app".to_owned(),
        subnets: vec!["subnet-1".to_owned()],
        ..Plan::default()
    };
    let asker = Asker { pool: "thumbs".to_owned(), parent: "p-1".to_owned(), task: None };
    let (fleet, tasks) = (fleet_at(endpoint), vec![silent]);
    Running { plan, asker, fleet, boot_timeout, longest: None, tasks }
}

/// A runner that is to be booted.
pub(super) fn spec() -> BootSpec {
    crate::backend::boot::testing::spec(HostKind::Ecs)
}

async fn read(socket: &mut TcpStream) -> Request {
    let mut request = Vec::new();
    loop {
        let mut part = [0; 4096];
        let len = socket.read(&mut part).await.unwrap();
        assert_ne!(len, 0, "the request is whole");
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
