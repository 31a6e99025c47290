//! The address at which runners on AWS reach this process.

use std::net::IpAddr;

use aws_config::SdkConfig;

use super::ec2;
use crate::backend::reach::{is_loopback, is_unspecified};
use crate::backend::{BackendError, PoolInfo};

/// See [`Backend::connection_advice`](crate::backend::Backend::connection_advice). True for the
/// address of a relay as well.
pub(crate) const CONNECTION_ADVICE: &str = "its security groups must allow outbound traffic to this address, the security groups at this \
     address must allow inbound traffic from it, and its subnets need a route";

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

/// Rejects a pool of which one address can't be reached by any runner on AWS: a runner that
/// connects to 127.0.0.1 connects to itself. A loopback address is accepted if the endpoint is an
/// emulator on this machine, since its runners are on this machine, too.
pub(crate) fn check(
    pool: &PoolInfo,
    endpoint: Option<&str>,
    runner: &str,
) -> Result<(), BackendError> {
    match pool.addresses.iter().find(|address| is_out_of_reach(address, endpoint)) {
        Some(address) => Err(BackendError::new(out_of_reach(address, pool.has_relay, runner))),
        None => Ok(()),
    }
}

fn is_out_of_reach(address: &str, endpoint: Option<&str>) -> bool {
    // The endpoint of an emulator is on this machine.
    let is_out = is_loopback(address) && !endpoint.is_some_and(is_loopback);
    is_unspecified(address) || is_out
}

/// An error text: what is wrong, and what to do.
fn out_of_reach(address: &str, has_relay: bool, runner: &str) -> String {
    if has_relay {
        return format!(
            "the pool's relay is at {address}, which no {runner} can reach: run the relay where \
             this process and the runners can both connect to it, and give `.relay(..)`, or \
             FLAME_RELAY_URL, its address there"
        );
    }
    format!(
        "the pool's address is {address}, which no {runner} can reach: if runners can connect to \
         this machine, let the pool `.listen(..)` on 0.0.0.0, open its port to the runners' \
         security group, and set `.advertise(\"ws://<private address of this machine>:<port>\")` \
         (on EC2, and on ECS with the network mode `awsvpc` and the feature `ecs`, this address is \
         detected); if they can't, as on a laptop or in a Lambda function, let both connect to a \
         relay: `.relay(..)`, or FLAME_RELAY_URL and FLAME_RELAY_KEY"
    )
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region};

    use super::*;
    use crate::backend::tests::pool_info;

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
    fn a_loopback_address_is_in_reach_of_an_emulator_on_this_machine_only() {
        let aws = Some("https://ecs.eu-central-1.amazonaws.com");
        let emulator = Some("http://127.0.0.1:4566");
        for address in ["ws://127.0.0.1:4100", "ws://localhost:4100/x", "ws://[::1]:4100"] {
            assert!(is_out_of_reach(address, None), "{address}");
            assert!(is_out_of_reach(address, aws), "{address}");
            assert!(!is_out_of_reach(address, emulator), "{address}");
        }
        assert!(is_out_of_reach("ws://0.0.0.0:4100", emulator));
        for address in ["ws://10.0.0.7:4100", "wss://flame.example.com"] {
            assert!(!is_out_of_reach(address, None), "{address}");
        }
    }

    #[test]
    fn a_pool_that_no_runner_can_reach_is_rejected_with_advice() {
        let with = |addresses: &[&str], has_relay| PoolInfo {
            addresses: addresses.iter().map(|&address| address.to_owned()).collect(),
            has_relay,
            ..pool_info()
        };
        assert!(check(&with(&["ws://10.0.0.7:4100"], false), None, "task").is_ok());
        let one_is_wrong = ["ws://10.0.0.7:4100", "ws://127.0.0.1:4100"];
        let error = check(&with(&one_is_wrong, false), None, "task").unwrap_err().to_string();
        for advice in ["ws://127.0.0.1:4100", ".listen(", ".advertise(", ".relay("] {
            assert!(error.contains(advice), "{error}");
        }
        let error = check(&with(&one_is_wrong, true), None, "task").unwrap_err().to_string();
        assert!(error.contains("the pool's relay is at ws://127.0.0.1:4100"), "{error}");
        assert!(!error.contains(".listen("), "{error}");
    }
}
