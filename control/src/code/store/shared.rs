//! One store of a process: at most one upload at a time, and URLs once the bucket has the
//! executable.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use flame_runner_shim::log_writer;
use flame_wire::code::{Offer, PresignedUrl};
use flame_wire::ids::RunnerRef;
use flame_wire::sync::Mutex;
use tokio::sync::{OnceCell, watch};
use tokio::time::{Instant, timeout};

use super::availability::{Availability, Next};
use super::bucket::{Bucket, StoreError};
use super::location::StoreLocation;
use super::urls::StoreUrls;

/// How long looking for the executable in the bucket and uploading it may take together.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// The longest time for which a URL is valid.
const LONGEST_EXPIRY: Duration = Duration::from_secs(15 * 60);

/// A store, and the executable of this process that it may have.
pub(in crate::code) struct SharedStore {
    location: StoreLocation,
    region: Option<String>,
    sdk: Option<SdkConfig>,
    path: PathBuf,
    offer: Offer,
    bucket: OnceCell<Bucket>,
    availability: Mutex<Availability>,
    /// Changes whenever an upload has ended.
    uploads: watch::Sender<()>,
}

impl fmt::Debug for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedStore").field("location", &self.location).finish_non_exhaustive()
    }
}

impl SharedStore {
    pub(super) fn new(
        location: StoreLocation,
        region: Option<String>,
        sdk: Option<SdkConfig>,
        path: PathBuf,
        offer: Offer,
    ) -> Self {
        let (bucket, availability) = (OnceCell::new(), Mutex::default());
        let uploads = watch::Sender::new(());
        Self { location, region, sdk, path, offer, bucket, availability, uploads }
    }

    pub(super) fn location(&self) -> &StoreLocation {
        &self.location
    }

    /// The URLs for a runner whose boot ends at `until`.
    pub(in crate::code) fn urls(self: &Arc<Self>, runner: RunnerRef, until: Instant) -> StoreUrls {
        StoreUrls::new(self.clone(), runner, until)
    }

    /// A runner has downloaded the executable.
    pub(super) fn downloaded(&self) {
        self.availability.lock().downloaded();
    }

    /// A runner could not download the executable.
    pub(super) fn download_failed(&self) {
        self.availability.lock().download_failed(now());
    }

    /// A URL that is valid until `until`, once the executable is in the bucket. `None`: the bucket
    /// can't be used, for a reason that was logged. Starts the upload if it is missing.
    pub(super) async fn url(self: &Arc<Self>, until: Instant) -> Option<PresignedUrl> {
        loop {
            let mut uploads = self.uploads.subscribe();
            let next = self.availability.lock().request(now());
            match next {
                Next::Store => self.spawn_upload(),
                Next::Wait => {}
                Next::Presign => return self.presign(until).await,
                Next::GiveUp => return None,
            }
            // The sender is a field of `self`.
            let _ = uploads.changed().await;
        }
    }

    /// Puts the executable into the bucket, in a task of its own: it goes on if the boot that needs
    /// it ends.
    fn spawn_upload(self: &Arc<Self>) {
        let ending = EndOfUpload(self.clone());
        tokio::spawn(async move {
            let store = &ending.0;
            let upload = timeout(UPLOAD_TIMEOUT, store.store());
            match upload.await.unwrap_or(Err(StoreError::TimedOut(UPLOAD_TIMEOUT))) {
                Ok(()) => store.availability.lock().stored(),
                Err(error) => store.fail(&error),
            }
        });
    }

    async fn store(&self) -> Result<(), StoreError> {
        let (bucket, started) = (self.bucket().await?, Instant::now());
        let location = self.location.to_string();
        if bucket.has(&self.location, &self.offer).await? {
            log_writer::event(move || {
                tracing::info!(location, "the code store has this executable");
            });
            return Ok(());
        }
        bucket.put(&self.location, &self.offer, &self.path).await?;
        let (bytes, took) = (self.offer.len, started.elapsed());
        log_writer::event(move || {
            tracing::info!(location, bytes, ?took, "put this executable into the code store");
        });
        Ok(())
    }

    async fn presign(&self, until: Instant) -> Option<PresignedUrl> {
        let valid_for = until.saturating_duration_since(Instant::now()).min(LONGEST_EXPIRY);
        let presigned =
            async { self.bucket().await?.presign(&self.location, &self.offer, valid_for).await };
        match presigned.await {
            Ok(url) => Some(url),
            Err(error) => {
                self.fail(&error);
                None
            }
        }
    }

    async fn bucket(&self) -> Result<&Bucket, StoreError> {
        let open = || Bucket::open(self.sdk.as_ref(), self.region.clone());
        self.bucket.get_or_try_init(open).await
    }

    /// Logs a failure: as a warning, unless the failure before was the same.
    fn fail(&self, error: &StoreError) {
        let is_news = self.availability.lock().failed(now(), error.to_string());
        let (location, error) = (self.location.to_string(), error.to_string());
        log_writer::event(move || {
            if is_news {
                tracing::warn!(
                    location,
                    error,
                    "the code store can't be used: runners fetch this executable from this process"
                );
            } else {
                tracing::debug!(location, error, "the code store still can't be used");
            }
        });
    }
}

/// Tells those who wait that an upload has ended, even if its runtime has shut down.
struct EndOfUpload(Arc<SharedStore>);

impl Drop for EndOfUpload {
    fn drop(&mut self) {
        self.0.availability.lock().upload_ended();
        self.0.uploads.send_replace(());
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
