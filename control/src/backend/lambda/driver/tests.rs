use tokio::net::TcpListener;
use tokio::task::yield_now;

use super::super::FunctionRef;
use super::*;
use crate::backend::InstanceEvent;
use crate::backend::aws::testing::config;

/// Starts an invocation of a Lambda that accepts connections and never responds.
async fn started(invocations: &Invocations, event: Arc<[u8]>) -> (Instance, TcpListener) {
    let lambda = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", lambda.local_addr().unwrap());
    let function = FunctionRef { name: "thumbs".to_owned(), qualifier: None };
    let client = Client::new(&config(&endpoint), function).unwrap();
    let invocation_type = InvocationType::RequestResponse;
    let request = InvokeRequest { client, invocation_type, event, timeout: None };
    let now = Instant::now().into_std();
    let invocation = Invocation::new(now, "f", Duration::from_secs(30), "it ends by itself");
    let instance = Instance::new("invocation");
    invocations.start(instance.clone(), request, invocation);
    (instance, lambda)
}

#[tokio::test]
async fn the_event_is_dropped_once_the_runner_has_connected() {
    let event: Arc<[u8]> = br#"{"FLAME_PARENT":"flame1.c2VjcmV0"}"#.as_slice().into();
    let kept = Arc::downgrade(&event);
    let invocations = Invocations::default();
    let (instance, lambda) = started(&invocations, event).await;
    let _connection = lambda.accept().await.unwrap();
    assert!(kept.upgrade().is_some(), "a request without a response is repeated once");
    invocations.handle(&instance, Event::Instance(InstanceEvent::Connected));
    for _ in 0..100 {
        yield_now().await;
    }
    assert!(kept.upgrade().is_none(), "no request follows, so the secret is not needed");
}

#[tokio::test]
async fn the_event_is_dropped_once_the_invocation_is_stopped() {
    let event: Arc<[u8]> = br#"{"FLAME_PARENT":"flame1.c2VjcmV0"}"#.as_slice().into();
    let kept = Arc::downgrade(&event);
    let invocations = Invocations::default();
    let (instance, lambda) = started(&invocations, event).await;
    let _connection = lambda.accept().await.unwrap();
    invocations.handle(&instance, Event::Stop);
    for _ in 0..100 {
        yield_now().await;
    }
    assert!(kept.upgrade().is_none(), "no request follows a stop");
}
