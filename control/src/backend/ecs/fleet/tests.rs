use aws_config::{BehaviorVersion, Region};
use aws_sdk_ecs::config::Credentials;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{advance, pause, resume};

use super::*;

const ARN: &str = "arn:aws:ecs:eu-central-1:1:task/main/1";
const EVERY: Every = Every { booting: Duration::from_millis(100), up: Duration::from_millis(500) };

/// Takes every request, and says which there were: the operation and the body.
async fn aws() -> (Arc<Fleet>, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (said, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let _ = said.send(take(socket).await);
        }
    });
    let config = aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("eu-central-1"))
        .endpoint_url(endpoint)
        .credentials_provider(aws_sdk_ecs::config::SharedCredentialsProvider::new(
            Credentials::new("1", "secret", None, None, "tests"),
        ))
        .build();
    (Fleet::new(Api::new(&config, "main"), "app".to_owned(), None, EVERY), heard)
}

async fn take(mut socket: TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        let mut part = [0; 4096];
        let len = socket.read(&mut part).await.unwrap();
        request.extend_from_slice(&part[..len]);
    }
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    socket.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8_lossy(&request).into_owned()
}

#[tokio::test]
async fn a_task_that_is_given_up_because_nobody_knows_it_is_stopped_all_the_same() {
    let (fleet, mut heard) = aws().await;
    pause();
    fleet.insert(ARN);
    let death = fleet.death(ARN).unwrap();
    let missing = || Ok((Vec::new(), vec![ARN.to_owned()]));
    advance(Duration::from_secs(61)).await;
    fleet.answered(missing());
    advance(EVERY.up / 2).await;
    fleet.answered(missing());
    assert!(death.borrow().is_none(), "it may only have been missed");
    advance(EVERY.up / 2).await;
    fleet.answered(missing());
    let death = death.borrow().clone().expect("it is given up");
    assert!(death.reason.contains("does not know it"), "{death:?}");
    resume();
    let request = heard.recv().await.unwrap();
    assert!(request.to_lowercase().contains("stoptask") && request.contains(ARN), "{request}");
    // Its pool need not do so again.
    fleet.stop(ARN, "it is over").await.unwrap();
    assert!(heard.try_recv().is_err());
}
