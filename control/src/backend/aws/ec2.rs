//! The EC2 instance that this process may be on.

use std::net::IpAddr;
use std::time::Duration;

use aws_config::imds::Client;
use tokio::time::timeout;

use super::sdk;

/// How long one step may take: where there is no instance, nobody answers.
const STEP: Duration = Duration::from_millis(500);
/// How long all may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The instance's address in its VPC (AWS documentation, "Instance metadata categories").
const PRIVATE_ADDRESS: &str = "/latest/meta-data/local-ipv4";

/// Its private address, by the instance metadata service (version 2). `None` elsewhere, and where
/// AWS_EC2_METADATA_DISABLED is `true`, as everywhere in AWS's SDKs.
pub(crate) async fn private_address() -> Option<IpAddr> {
    let disabled = std::env::var("AWS_EC2_METADATA_DISABLED").unwrap_or_default();
    if disabled.eq_ignore_ascii_case("true") {
        return None;
    }
    // Without them the client can't be made; the start of the backend says so.
    sdk::check_roots(None).await.ok()?;
    let client = Client::builder().max_attempts(1).connect_timeout(STEP).read_timeout(STEP);
    let client = client.build();
    let told = timeout(PATIENCE, client.get(PRIVATE_ADDRESS)).await;
    told.ok()?.ok()?.as_ref().parse().ok()
}
