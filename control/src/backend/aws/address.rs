//! The address at which runners on AWS reach this process.

use std::net::IpAddr;

use aws_config::SdkConfig;

use super::ec2;
use crate::backend::BackendError;

/// See [`Backend::connection_advice`](crate::backend::Backend::connection_advice).
pub(crate) const CONNECTION_ADVICE: &str = "its security groups must allow outbound traffic to this address, those of this process must \
     allow inbound traffic from it, and its subnets need a route";

/// The private address of the ECS task (with the feature `ecs`) or the EC2 instance that this
/// process runs on.
pub(crate) async fn of_this_process() -> Option<IpAddr> {
    #[cfg(feature = "ecs")]
    {
        use flame_runner_shim::host::ecs::{EcsContainer, EcsTask};
        if EcsTask::runs_on_ecs() {
            return EcsContainer::read().await.ok()?.address.map(IpAddr::V4);
        }
    }
    ec2::private_address().await
}

/// The endpoint that the SDK uses for a service such as `LAMBDA`, if one is set. The app's own
/// value takes precedence over AWS_ENDPOINT_URL_LAMBDA, and that over AWS_ENDPOINT_URL (AWS SDKs
/// and Tools reference, service-specific endpoints). A configuration that the app built without
/// loading it from the environment ignores the variables.
pub(crate) fn endpoint(
    config: &SdkConfig,
    service: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let common = config.endpoint_url().map(str::to_owned);
    if config.get_origin("endpoint_url").is_client_config() || config.service_config().is_none() {
        return common;
    }
    variable(&format!("AWS_ENDPOINT_URL_{service}")).or(common)
}

/// Rejects addresses of which one can't be reached by any runner on AWS: a runner that connects to
/// 127.0.0.1 connects to itself. A loopback address is accepted if the endpoint is an emulator on
/// this machine, since its runners are on this machine, too.
pub(crate) fn check(
    addresses: &[String],
    endpoint: Option<&str>,
    runner: &str,
) -> Result<(), BackendError> {
    addresses.iter().try_for_each(|address| check_address(address, endpoint, runner))
}

fn check_address(address: &str, endpoint: Option<&str>, runner: &str) -> Result<(), BackendError> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let unspecified = authority.starts_with("0.0.0.0") || authority.starts_with("[::]");
    let own_machine = is_loopback(authority) && !endpoint.is_some_and(is_local);
    if !unspecified && !own_machine {
        return Ok(());
    }
    Err(BackendError::new(format!(
        "the pool's address is {address}, which no {runner} can reach: let the pool \
         `.listen(..)` on 0.0.0.0, open its port to the runners' security group, and set \
         `.advertise(\"ws://<private address of this machine>:<port>\")`; on EC2, and on ECS with \
         the network mode `awsvpc` (feature `ecs`), the address to advertise is detected"
    )))
}

/// Whether an endpoint is on this machine, as an emulator's may be.
fn is_local(endpoint: &str) -> bool {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    is_loopback(authority)
}

/// Whether the host in `host`, `host:port` or `[host]:port` is a loopback address.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region};

    use super::*;

    #[tokio::test]
    async fn the_apps_endpoint_precedes_the_services_variable() {
        let variable = |name: &str| (name == "AWS_ENDPOINT_URL_LAMBDA").then(|| "own".to_owned());
        let loader = || {
            let defaults = aws_config::defaults(BehaviorVersion::v2026_01_12());
            defaults.region(Region::from_static("eu-central-1")).no_credentials()
        };
        let loaded = loader().load().await;
        assert_eq!(endpoint(&loaded, "LAMBDA", variable).as_deref(), Some("own"));
        assert_eq!(endpoint(&loaded, "ECS", variable).as_deref(), loaded.endpoint_url());
        let set = loader().endpoint_url("http://set").load().await;
        assert_eq!(endpoint(&set, "LAMBDA", variable).as_deref(), Some("http://set"));
        let built = SdkConfig::builder().endpoint_url("http://built").build();
        assert_eq!(endpoint(&built, "LAMBDA", variable).as_deref(), Some("http://built"));
    }

    #[test]
    fn a_loopback_endpoint_is_local_and_awss_is_not() {
        for local in ["http://127.0.0.1:4566", "http://localhost:4566/x", "http://[::1]:80"] {
            assert!(is_local(local), "{local}");
        }
        for remote in ["https://ecs.eu-central-1.amazonaws.com", "http://10.0.0.7:4566"] {
            assert!(!is_local(remote), "{remote}");
        }
    }

    #[test]
    fn an_address_that_no_runner_can_reach_is_rejected_with_advice() {
        let aws = Some("https://ecs.eu-central-1.amazonaws.com");
        for address in ["ws://127.0.0.1:4100", "ws://localhost:4100/x", "ws://[::1]:4100"] {
            for endpoint in [None, aws] {
                let error = check_address(address, endpoint, "task").unwrap_err().to_string();
                assert!(error.contains(".listen(") && error.contains(".advertise("), "{error}");
            }
            let emulator = Some("http://127.0.0.1:4566");
            assert!(check_address(address, emulator, "task").is_ok(), "{address}");
        }
        assert!(check_address("ws://0.0.0.0:4100", Some("http://127.0.0.1:4566"), "task").is_err());
        for address in ["ws://10.0.0.7:4100", "wss://flame.example.com"] {
            assert!(check_address(address, None, "task").is_ok(), "{address}");
        }
        let one_is_wrong = ["ws://10.0.0.7:4100", "ws://127.0.0.1:4100"].map(str::to_owned);
        assert!(check(&one_is_wrong, aws, "task").is_err());
        assert!(check(&one_is_wrong[..1], aws, "task").is_ok());
    }
}
