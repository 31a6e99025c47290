//! The SDK's configuration.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};

use crate::backend::BackendError;

pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Values that replace those that the SDK finds in the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct SdkOverrides {
    pub(crate) region: Option<String>,
    pub(crate) endpoint: Option<String>,
}

impl SdkOverrides {
    /// The app's own SDK configuration with these values in it.
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

/// Checks that at least one root certificate is trusted: without any, the SDK's client panics at
/// its first use, whatever the endpoint. An app that brings its own HTTP client is not checked.
pub(crate) async fn check_roots(config: Option<&SdkConfig>) -> Result<(), BackendError> {
    if config.is_some_and(|config| config.http_client().is_some()) {
        return Ok(());
    }
    let found = tokio::task::spawn_blocking(|| {
        let found = rustls_native_certs::load_native_certs();
        rustls::RootCertStore::empty().add_parsable_certificates(found.certs).0
    });
    match found.await {
        Ok(0) => Err(BackendError::new(
            "this process trusts no root certificate, and the AWS SDK does not start without one: \
             install ca-certificates in the parent's image, or name a file with certificates in \
             SSL_CERT_FILE; runners need no certificates",
        )),
        _ => Ok(()),
    }
}

/// Loads region, credentials and endpoint from wherever the SDK finds them.
///
/// The behaviour version is pinned, so that an update of the SDK does not change its defaults.
/// Retries are off: see [`aws`](super). A request may take `timeout`; `None` is no limit.
pub(crate) async fn load(overrides: &SdkOverrides, timeout: Option<Duration>) -> SdkConfig {
    let mut timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT);
    timeouts.set_operation_timeout(timeout);
    timeouts.set_operation_attempt_timeout(timeout);
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
