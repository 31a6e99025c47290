//! Images that are missing, and pulls.

use flame_aws::backend::PullPolicy;
use flame_tests::{Test, docker, tests};

use crate::common::{pool_on, start_error};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_missing_image_that_may_not_be_pulled_is_rejected,
        a_pull_that_is_refused_is_rejected,
        a_pull_without_a_registry_is_rejected,
        all_impossible_options_are_named_at_once,
    ]
}

async fn a_missing_image_that_may_not_be_pulled_is_rejected() {
    let backend = docker::shared().backend().image("localhost/nowhere:1").pull(PullPolicy::Never);
    let error = start_error(pool_on("test", backend)).await;
    assert!(error.contains("has no image localhost/nowhere:1"), "{error}");
}

/// Answers every request with this status.
async fn registry(status: &'static str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await;
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    address.to_string()
}

async fn a_pull_that_is_refused_is_rejected() {
    let registry = registry("403 Forbidden").await;
    let backend = docker::shared().backend().image(format!("{registry}/app:1"));
    let error = start_error(pool_on("test", backend)).await;
    assert!(error.contains(&format!("pulling the image {registry}/app:1 failed")), "{error}");
}

async fn a_pull_without_a_registry_is_rejected() {
    // No program listens on this port.
    let backend = docker::shared().backend().image("127.0.0.1:1/app:1").pull(PullPolicy::Always);
    let error = start_error(pool_on("test", backend)).await;
    assert!(error.contains("connection refused"), "{error}");
    assert!(error.contains("can't reach the image's registry"), "{error}");
}

async fn all_impossible_options_are_named_at_once() {
    let backend = docker::shared().backend().cpus(0.0).label("flame:x", "").network("nowhere");
    let pool = pool_on("test", backend).listen("127.0.0.1:0".parse().unwrap());
    let error = start_error(pool).await;
    for problem in ["`cpus` is 0", "`flame:x`", "no network `nowhere`", "ws://127.0.0.1:"] {
        assert!(error.contains(problem), "{error}");
    }
}
