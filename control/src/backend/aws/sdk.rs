//! The SDK's configuration.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};

use crate::backend::BackendError;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);

/// What differs from what the SDK finds in the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    pub(crate) region: Option<String>,
    pub(crate) endpoint: Option<String>,
}

impl Overrides {
    /// A configuration that an app has made, with these.
    pub(crate) fn apply(&self, config: SdkConfig) -> SdkConfig {
        let mut config = config.into_builder();
        if let Some(region) = &self.region {
            config.set_region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &self.endpoint {
            config.set_endpoint_url(Some(endpoint.clone()));
        }
        config.build()
    }
}

/// That the SDK's client can be made: it panics at its first use where no root certificate is found,
/// whatever it is to speak to. An app that has given a client of its own knows better.
pub(crate) async fn check_roots(given: Option<&SdkConfig>) -> Result<(), BackendError> {
    if given.is_some_and(|config| config.http_client().is_some()) {
        return Ok(());
    }
    let found = tokio::task::spawn_blocking(|| {
        let found = rustls_native_certs::load_native_certs();
        rustls::RootCertStore::empty().add_parsable_certificates(found.certs).0
    });
    match found.await {
        Ok(0) => Err(BackendError::new(
            "no root certificate is trusted here, and AWS's SDK does not start without: put \
             ca-certificates into the parent's image, or name a file with them in SSL_CERT_FILE; \
             runners need none",
        )),
        _ => Ok(()),
    }
}

/// Loads what the SDK finds: region, credentials, endpoint.
///
/// The behaviour is pinned, so that an update of the SDK changes nothing behind our back. Retries
/// are off: see [`aws`](super). One attempt may take `attempt`; none is no limit.
pub(crate) async fn load(overrides: &Overrides, attempt: Option<Duration>) -> SdkConfig {
    let mut timeouts = TimeoutConfig::builder().connect_timeout(CONNECT);
    timeouts.set_operation_timeout(attempt);
    timeouts.set_operation_attempt_timeout(attempt);
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build());
    if let Some(region) = &overrides.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &overrides.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    loader.load().await
}
