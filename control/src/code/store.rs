//! The code store: an S3 bucket from which runners of another build fetch this executable.
//!
//! ```text
//! CodeStore ── checked when a pool starts ──▶ SharedStore, one per process for each location
//!                                               ├ availability.rs  what to do for a runner; pure
//!                                               ├ bucket.rs        the requests to S3
//!                                               └ urls.rs          the URLs for one runner
//! ```
//!
//! The upload begins when the first runner asks for a URL. Nothing here fails a boot: without a URL,
//! a runner fetches the executable from this process.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, OnceLock};

use aws_config::SdkConfig;
use flame_wire::code::Offer;
use flame_wire::sync::Mutex;

mod availability;
mod bucket;
mod location;
mod shared;
mod urls;

use location::StoreLocation;
pub(super) use shared::SharedStore;

/// An S3 bucket from which runners of another build fetch the executable; see
/// [`PoolBuilder::code_store`](crate::PoolBuilder::code_store).
///
/// ```
/// use flame_aws::CodeStore;
///
/// let store = CodeStore::new("s3://my-bucket/flame").region("eu-central-1");
/// ```
#[derive(Clone)]
pub struct CodeStore {
    url: String,
    region: Option<String>,
    sdk: Option<SdkConfig>,
    /// The store of this value and its clones, if it has its own configuration.
    own: Arc<OnceLock<Arc<SharedStore>>>,
}

impl CodeStore {
    /// The bucket, and the prefix under which the executable is stored: `s3://bucket/prefix`, or
    /// `s3://bucket` for none. The bucket must exist.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), region: None, sdk: None, own: Arc::default() }
    }

    /// The bucket's region. Default: that of the AWS SDK, such as `AWS_REGION`.
    #[must_use]
    pub fn region(self, region: impl Into<String>) -> Self {
        Self { region: Some(region.into()), own: Arc::default(), ..self }
    }

    /// A configuration of the AWS SDK for this store, such as one with the credentials of another
    /// role. Default: what the SDK finds in the environment.
    #[must_use]
    pub fn sdk_config(self, config: SdkConfig) -> Self {
        Self { sdk: Some(config), own: Arc::default(), ..self }
    }

    /// Returns an error that says what is wrong with the URL, if anything is.
    pub(crate) fn check(&self) -> Result<(), String> {
        StoreLocation::parse(&self.url).map(|_| ())
    }

    /// The store for the executable of this process. It is the same for the same bucket, prefix and
    /// region, so that pools share an upload. A store with its own SDK configuration is shared by
    /// its clones.
    pub(super) fn open(&self, path: PathBuf, offer: &Offer) -> Option<Arc<SharedStore>> {
        static SHARED: LazyLock<Mutex<HashMap<StoreKey, Arc<SharedStore>>>> =
            LazyLock::new(Mutex::default);
        let location = StoreLocation::parse(&self.url).ok()?;
        let Self { region, sdk, .. } = self;
        let (at, offer) = (location.clone(), offer.clone());
        let new = || Arc::new(SharedStore::new(at, region.clone(), sdk.clone(), path, offer));
        if sdk.is_some() {
            return Some(self.own.get_or_init(new).clone());
        }
        let key = StoreKey { location, region: region.clone() };
        Some(SHARED.lock().entry(key).or_insert_with(new).clone())
    }
}

/// The properties that tell the stores of a process apart.
#[derive(PartialEq, Eq, Hash)]
struct StoreKey {
    location: StoreLocation,
    region: Option<String>,
}

impl fmt::Debug for CodeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeStore")
            .field("url", &self.url)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl From<&str> for CodeStore {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<String> for CodeStore {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}
