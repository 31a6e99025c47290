//! Fetches the parent's executable into the cache: from the parent's code store if it has one, and
//! otherwise, or if that fails, from the parent itself, over the connection.

use bytes::Bytes;
use flame_link::CodeDownload;
use flame_wire::code::Offer;

use super::cache::{Cache, Draft, DraftGuard, Executable};
use super::{SyncError, blocking};

/// Fetches the offered executable.
pub(super) async fn fetch(
    offered: &mut CodeDownload,
    cache: &Cache,
    offer: &Offer,
) -> Result<Executable, SyncError> {
    let store_failure = match from_store(offered, cache, offer).await? {
        Some(Ok(executable)) => return Ok(executable),
        Some(Err(why)) => Some(why),
        None => None,
    };
    let draft = new_draft(cache, offer).await?;
    tracing::info!(build = %offer.build, bytes = offer.len, "fetching the parent's executable");
    let requested = match store_failure {
        Some(why) => offered.request_after_store_failure(&why).await,
        None => offered.request().await,
    };
    requested.map_err(SyncError::Cut)?;
    write(cache, draft, offered).await
}

/// Fetches the executable from the parent's code store. `None`: there is no store, or it is not
/// available. `Some(Err(why))`: the store failed, and the parent does not know yet.
#[cfg(feature = "code-store")]
async fn from_store(
    offered: &mut CodeDownload,
    cache: &Cache,
    offer: &Offer,
) -> Result<Option<Result<Executable, String>>, SyncError> {
    use super::download::{Download, DownloadError};

    if !offer.in_store {
        return Ok(None);
    }
    let Some(url) = offered.request_url().await.map_err(SyncError::Cut)? else {
        return Ok(None);
    };
    let (build, bytes) = (&offer.build, offer.len);
    tracing::info!(%build, bytes, "fetching the parent's executable from its code store");
    let fetched = async {
        let mut download = Download::start(&url, offer.len).await?;
        drop(url);
        let draft = new_draft(cache, offer).await?;
        write(cache, draft, &mut download).await
    };
    let failure = match fetched.await {
        Ok(executable) => return Ok(Some(Ok(executable))),
        Err(DownloadError::Sync(SyncError::Altered { .. })) => DownloadError::Altered,
        Err(DownloadError::Sync(error)) => return Err(error),
        Err(failure) => failure,
    };
    let why = flame_wire::error::Chain(&failure).to_string();
    tracing::warn!(%why, "the code store did not provide the parent's executable");
    Ok(Some(Err(why)))
}

/// This runner can't download from a store.
#[cfg(not(feature = "code-store"))]
async fn from_store(
    _: &mut CodeDownload,
    _: &Cache,
    _: &Offer,
) -> Result<Option<Result<Executable, String>>, SyncError> {
    Ok(None)
}

async fn new_draft(cache: &Cache, offer: &Offer) -> Result<(Draft, DraftGuard), SyncError> {
    let (cache, offer) = (cache.clone(), offer.clone());
    blocking(move || cache.draft(&offer)).await
}

/// The bytes of an executable, from wherever they come.
trait Chunks: Send {
    type Error: From<SyncError>;

    /// Returns the next bytes, or `None` after the last.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Self::Error>> + Send;
}

impl Chunks for CodeDownload {
    type Error = SyncError;

    async fn next(&mut self) -> Result<Option<Bytes>, SyncError> {
        self.next_chunk().await.map_err(SyncError::Cut)
    }
}

#[cfg(feature = "code-store")]
impl Chunks for super::download::Download {
    type Error = super::download::DownloadError;

    async fn next(&mut self) -> Result<Option<Bytes>, Self::Error> {
        self.next_chunk().await
    }
}

/// Writes chunks into the draft, which becomes the executable if its length and its hash are right.
async fn write<C: Chunks>(
    cache: &Cache,
    (mut draft, _guard): (Draft, DraftGuard),
    chunks: &mut C,
) -> Result<Executable, C::Error> {
    while let Some(chunk) = chunks.next().await? {
        draft = blocking(move || draft.add(&chunk)).await?;
    }
    let cache = cache.clone();
    let kept = blocking(move || {
        let executable = cache.keep(draft)?;
        cache.prune(&executable);
        Ok(executable)
    });
    Ok(kept.await?)
}
