//! The SDK's configuration.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};

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

/// Whether an endpoint is on this machine, as an emulator's is.
pub(crate) fn is_local(endpoint: &str) -> bool {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    is_loopback(authority)
}

/// Whether the host in `host`, `host:port` or `[host]:port` is this machine to itself.
pub(crate) fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emulators_endpoint_is_local_and_awss_is_not() {
        for local in ["http://127.0.0.1:4566", "http://localhost:4566/x", "http://[::1]:80"] {
            assert!(is_local(local), "{local}");
        }
        for remote in ["https://ecs.eu-central-1.amazonaws.com", "http://10.0.0.7:4566"] {
            assert!(!is_local(remote), "{remote}");
        }
    }
}
