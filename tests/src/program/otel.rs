//! A parent whose spans go to OpenTelemetry.

use tracing::Instrument;

use crate::demo::{self, queries};
use crate::otel::ExportedSpans;
use crate::process_pool;
use crate::program::GIVEN_TRACE;

/// Makes calls, and prints the parent's spans. The calls are sampled unless `DEMO_UNSAMPLED` is
/// set.
pub(super) async fn otel_calls() {
    let exported = ExportedSpans::install(std::env::var_os("DEMO_UNSAMPLED").is_none());
    let pool = process_pool("otel").max(1).max_concurrency(2).start().await.unwrap();
    // Both wait for the same boot.
    let first = pool.call(queries::queries(1)).instrument(tracing::info_span!("first request"));
    let second = pool.call(queries::queries(2)).instrument(tracing::info_span!("second request"));
    let rows = futures_util::future::try_join(first, second).await.unwrap();
    assert_eq!(rows, (1, 2));
    let plain = pool.call(queries::queries_plainly(3));
    assert_eq!(plain.instrument(tracing::info_span!("plain request")).await.unwrap(), 3);
    let nested = pool.call(demo::traces(1)).instrument(tracing::info_span!("nesting request"));
    nested.await.unwrap().unwrap();
    let given = queries::queries(4).trace(GIVEN_TRACE.parse().unwrap());
    pool.call(given).instrument(tracing::info_span!("given request")).await.unwrap();
    let panics = pool.call(demo::panics("it fails"));
    panics.instrument(tracing::info_span!("failing request")).await.unwrap_err();
    pool.drain().await;
    let kept = process_pool("kept").min(1).start().await.unwrap();
    kept.ready().await;
    kept.drain().await;
    println!("{}", serde_json::to_string(&exported.flush()).expect("the spans are text"));
}
