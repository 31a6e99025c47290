//! A pool that is used from a thread without a runtime.

use std::time::Duration;

use flame_aws::{CallError, Receiver, Sender, channel, remote};
use futures_util::{Stream, StreamExt, stream};

use super::{plain, pool};

/// Runs a future on a thread without a runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

#[remote]
async fn never() {
    std::future::pending().await
}

#[test]
fn a_pool_is_used_from_a_thread_without_a_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let pool = runtime.block_on(pool());
    let (numbers, rx) = channel(1);
    let (tx, mut out) = channel(1);
    let calls = async {
        assert_eq!(pool.call(plain(21)).await.unwrap(), 42);
        let late = pool.call(never().timeout(Duration::from_millis(50))).await;
        assert!(matches!(late, Err(CallError::Timeout { .. })), "{late:?}");
        let items: Vec<_> = pool.stream(items_below(3)).collect().await;
        assert_eq!(items.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(pool.map((0..3).map(plain)).collect::<Vec<_>>().await.len(), 3);
        pool.cast(plain(1)).await.unwrap();
        let child = pool.place_child(passes_on(rx, tx)).await.unwrap();
        numbers.send(3).await.unwrap();
        assert_eq!(out.recv().await.unwrap(), Some(3));
        drop(numbers);
        child.join().await.unwrap();
        pool.drain().await;
    };
    block_on(calls);
}

#[remote]
fn items_below(end: u32) -> impl Stream<Item = u32> {
    stream::iter(0..end)
}

#[remote]
async fn passes_on(mut from: Receiver<u32>, to: Sender<u32>) {
    while let Ok(Some(number)) = from.recv().await {
        to.send(number).await.unwrap();
    }
}
