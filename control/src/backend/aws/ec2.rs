//! The metadata of the EC2 instance that this process may run on.

use std::net::IpAddr;
use std::time::Duration;

use aws_config::imds::Client;
use tokio::time::timeout;

use super::sdk;

/// Off EC2 no server answers, so each step has a short timeout.
const STEP_TIMEOUT: Duration = Duration::from_millis(500);
/// For all steps together.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(2);
/// The path of the instance's address in its VPC (AWS documentation, "Instance metadata
/// categories").
const PRIVATE_ADDRESS: &str = "/latest/meta-data/local-ipv4";

/// The instance's private address, from the instance metadata service (version 2). `None` off EC2,
/// and if AWS_EC2_METADATA_DISABLED is `true`, which AWS's SDKs obey as well.
pub(crate) async fn private_address() -> Option<IpAddr> {
    let disabled = std::env::var("AWS_EC2_METADATA_DISABLED").unwrap_or_default();
    if disabled.eq_ignore_ascii_case("true") {
        return None;
    }
    // Without root certificates the client would panic. The backend's start reports that.
    sdk::check_roots(None).await.ok()?;
    let client =
        Client::builder().max_attempts(1).connect_timeout(STEP_TIMEOUT).read_timeout(STEP_TIMEOUT);
    let client = client.build();
    let response = timeout(TOTAL_TIMEOUT, client.get(PRIVATE_ADDRESS)).await;
    response.ok()?.ok()?.as_ref().parse().ok()
}
