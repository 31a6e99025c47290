//! Remote functions with spans of their own, as those of a database's client.

use flame_aws::remote;
use tracing::Instrument;

/// Returns that many rows.
#[remote]
pub async fn queries(rows: u32) -> u32 {
    let query = async {
        tokio::task::yield_now().await;
        tracing::info_span!("connect to the database").in_scope(|| rows)
    };
    query.instrument(tracing::info_span!("query the database", rows)).await
}

/// Returns that many rows, in a plain function.
#[remote]
pub fn queries_plainly(rows: u32) -> u32 {
    tracing::info_span!("query the database", rows).in_scope(|| rows)
}
