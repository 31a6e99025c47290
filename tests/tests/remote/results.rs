//! Streams of results, and errors without serde.

use flame_aws::{RemoteError, remote};
use futures_util::{Stream, StreamExt, stream};

use super::pool;

#[remote]
fn numbers(to: u32) -> impl Stream<Item = anyhow::Result<u32>> + Send {
    stream::iter(0..to).map(|number| {
        anyhow::ensure!(number != 2, "two");
        Ok(number)
    })
}

#[tokio::test]
async fn a_stream_gives_results_whose_errors_need_no_serde() {
    let pool = pool().await;
    let text = |result: anyhow::Result<u32>| result.map_err(|error| error.to_string());
    let here: Vec<_> = numbers(4).map(text).collect().await;
    let there: Vec<_> = pool.stream(numbers(4)).map(|item| text(item.unwrap())).collect().await;
    assert_eq!(here, [Ok(0), Ok(1), Err("two".to_owned()), Ok(3)]);
    assert_eq!(here, there);
}

/// An app's own error type, which can't be serialized.
#[derive(Debug, thiserror::Error)]
pub(super) enum OwnError {
    #[error("disk")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    There(#[from] RemoteError),
    #[error(transparent)]
    Call(#[from] flame_aws::CallError),
}

#[remote]
pub(super) async fn fails() -> Result<(), OwnError> {
    Err(std::io::Error::other("full").into())
}

#[remote]
async fn fails_boxed() -> Result<u8, Box<dyn std::error::Error + Send + Sync>> {
    Err("boxed".into())
}

#[tokio::test]
async fn an_error_convertible_from_remote_error_crosses_with_its_chain() {
    assert!(matches!(fails().await, Err(OwnError::Io(_))));
    let pool = pool().await;
    let error = pool.try_call(fails()).await.unwrap_err();
    let OwnError::There(error) = error else { panic!("{error:?}") };
    assert_eq!(error.to_string(), "disk");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "full");
    let error = pool.call(fails_boxed()).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "boxed");
}
