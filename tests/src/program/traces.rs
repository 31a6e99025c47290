//! A parent that records the spans of its calls.

use futures_util::TryStreamExt;

use crate::spans::{RecordedSpan, SpanRecorder};
use crate::{demo, process_pool};

/// The output of `traced_calls`.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct TracedCalls {
    /// The parent's spans of a call.
    pub spans: Vec<RecordedSpan>,
    /// The result of [`demo::traces`] for a call that makes a call.
    pub levels: Vec<(String, String)>,
    /// The result of [`demo::traces`] for a call with a given trace.
    pub given: Vec<(String, String)>,
    /// The result of [`demo::traces_plainly`].
    pub plain: String,
    /// The parent's spans of a stream, a child and a cast.
    pub other_kinds: Vec<(String, Vec<RecordedSpan>)>,
}

/// The trace of [`TracedCalls::given`].
pub const GIVEN_TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Makes calls of every kind, and prints the spans of each.
pub(super) async fn traced_calls() {
    let recorder = SpanRecorder::install();
    let debugs = flame_aws::backend::Process::new().env("FLAME_LOG", "debug");
    let pool = process_pool("traced").max(1).backend(debugs).start().await.unwrap();
    let levels = pool.call(demo::traces(1)).await.unwrap().unwrap();
    let spans = recorder.spans();
    let mut other_kinds = Vec::new();
    let mut seen = spans.len();
    let mut record = |kind: &str| {
        let spans = recorder.spans();
        other_kinds.push((kind.to_owned(), spans[seen..].to_vec()));
        seen = spans.len();
    };
    pool.stream(demo::count(3)).try_collect::<Vec<_>>().await.unwrap();
    record("stream");
    let child = pool.place_child(demo::double(1)).await.unwrap();
    assert_eq!(child.join().await.unwrap(), 2);
    record("child");
    pool.cast(demo::double(1)).await.unwrap();
    record("cast");
    let given = demo::traces(0).trace(GIVEN_TRACE.parse().unwrap());
    let given = pool.call(given).await.unwrap().unwrap();
    let plain = pool.call(demo::traces_plainly()).await.unwrap();
    let traced = TracedCalls { spans, levels, given, plain, other_kinds };
    println!("{}", serde_json::to_string(&traced).expect("the spans are text"));
    pool.drain().await;
}
