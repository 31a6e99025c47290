use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const TASK: &str = r#"{
    "Cluster": "arn:aws:ecs:us-east-1:111122223333:cluster/main",
    "TaskARN": "arn:aws:ecs:us-east-1:111122223333:task/main/158d1c8083dd49d6b527399fd6414f5c",
    "Family": "app", "Revision": "26", "DesiredStatus": "RUNNING",
    "Limits": {"CPU": 0.25, "Memory": 512}, "Containers": []
}"#;

const CONTAINER: &str = r#"{
    "DockerId": "ea32192c8553fbff06c9340478a2ff089b2bb5646fb718b4ee206641c9086d66",
    "Name": "app", "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": ["10.0.2.106"]}]
}"#;

/// Answers each request with the next of these answers, and repeats the last one.
async fn endpoint(answers: &'static [(u16, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for nth in 0.. {
            let (status, body) = answers[nth.min(answers.len() - 1)];
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4096]).await;
            let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n", body.len());
            let answer = format!("{head}connection: close\r\n\r\n{body}");
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_task_knows_its_cluster_its_name_and_its_definition() {
    let task: EcsTask = request(&endpoint(&[(200, TASK)]).await).await.unwrap();
    assert_eq!(task.definition(), "app:26");
    assert_eq!(task.cluster, "arn:aws:ecs:us-east-1:111122223333:cluster/main");
    let stop_timeout = Some(Duration::from_secs(120));
    let host = EcsHost { task: task.arn.clone(), stop_timeout };
    assert_eq!((host.kind(), host.instance()), (HostKind::Ecs, task.arn));
    assert_eq!(host.expires_in(), None);
    assert_eq!(host.kills_after(), Some(Duration::from_secs(120)));
}

#[tokio::test]
async fn a_container_knows_its_name_and_its_address() {
    let container: ContainerMetadata = request(&endpoint(&[(200, CONTAINER)]).await).await.unwrap();
    assert_eq!(container.name, "app");
    assert_eq!(own_address(container.networks), Some(Ipv4Addr::new(10, 0, 2, 106)));
}

#[test]
fn an_address_behind_a_bridge_is_not_offered_to_runners() {
    let network = |network_mode: &str| NetworkMetadata {
        network_mode: network_mode.to_owned(),
        addresses: vec![Ipv4Addr::new(172, 17, 0, 2)],
    };
    assert_eq!(own_address(vec![network("bridge")]), None);
    assert!(own_address(vec![network("bridge"), network("awsvpc")]).is_some());
}

#[tokio::test]
async fn an_endpoint_that_is_not_up_yet_is_asked_again() {
    let address = endpoint(&[(503, ""), (429, ""), (200, TASK)]).await;
    assert_eq!(request::<EcsTask>(&address).await.unwrap().family, "app");
}

#[tokio::test]
async fn an_error_names_an_endpoint_that_stays_broken() {
    let address = endpoint(&[(500, "")]).await;
    let error = request::<EcsTask>(&address).await.unwrap_err().to_string();
    assert!(error.contains(&address) && error.contains("500"), "{error}");
}

#[tokio::test]
async fn an_endpoint_with_an_unexpected_answer_is_not_asked_again() {
    let address = endpoint(&[(200, "{}"), (200, TASK)]).await;
    let error = request::<EcsTask>(&address).await.unwrap_err();
    assert!(matches!(error, MetadataError::Unreadable { .. }), "{error}");
}

#[tokio::test]
async fn a_process_that_is_not_on_ecs_says_so() {
    let error = EcsHost::discover().await.unwrap_err();
    assert!(matches!(error, MetadataError::NotOnEcs), "{error}");
    assert!(error.to_string().contains("ECS_CONTAINER_METADATA_URI_V4"));
}
